"""How models write tool calls into their text: one class for each format, one table that names them.

Sources: vllm/tool_parsers, whose names these are.
"""

import ast
import re
from typing import ClassVar

from mdstream_core import _json
from mdstream_core.dialects._json_scanner import JSONValueScanner
from mdstream_core.dialects._text_scanner import HEAD, MAX_HEAD, JSONCallParser, TextParser, skip_whitespace
from mdstream_core.events import Event

#: The most that is held back of calls in Python, in characters: their syntax tree takes 500 times the memory.
_MAX_PYTHON = 128 * 1024

#: Any beginning of what stands before the arguments.
_PARTIAL_HEAD = re.compile(
    r"""\{\s*(?:"type"\s*:\s*"\w*"\s*,\s*)?+(?:\Z|"\w*\Z|"(?:type|name)"\s*(?:\Z|:\s*(?:\Z|"[^"\\]*+(?:\Z|"\s*(?:\Z|,\s*
    (?:\Z|"\w*\Z|"(?:arguments|parameters)"\s*(?:\Z|:\s*\Z)))))))""",
    re.VERBOSE,
)

#: What stands before them where Mistral's models write a name without an object around it, and any beginning of it.
_NAMED_CALL = re.compile(r"(?P<name>[\w.-]+)(?:\[CALL_ID\](?P<id>\w+))?(?:\[ARGS\])?\s*(?=\{)")
_PARTIAL_NAMED_CALL = re.compile(r"[\w.-]++(?:\[[A-Z_]*+\]?\w*+)*+\s*\Z")

#: The same for the first of a list of calls in Python.
_PYTHON = re.compile(r"\[\s*[A-Za-z_]\w*\(\s*(?:\)|[A-Za-z_]\w*\s*=)")
_PARTIAL_PYTHON = re.compile(r"\[\s*(?:\Z|[A-Za-z_]\w*+(?:\Z|\(\s*(?:\Z|[A-Za-z_]\w*+\s*\Z)))")

_PYTHON_MARK = re.compile(r"""["'(){}\[\]]""")


class HermesParser(JSONCallParser):
    """The habit of Hermes and Qwen."""

    marker = "<tool_call>"
    last: ClassVar[str] = "</tool_call>"

    def _read_opening(self, text: str, at: int) -> int:
        at = self._buffer_whitespace(text, at)
        if text.startswith("{", at):
            self._begin_object()
        elif at < len(text):
            self._emit_buffer_as_text()
        return at

    def _read_closing(self, text: str, at: int) -> int:
        at = skip_whitespace(text, at)
        there = text[at : at + len(self.last)]
        if there != self.last and self.last.startswith(there):
            return self._wait_for_more(text, at)
        self._note_surplus(text, at)
        self._state = self._text
        return at + len(self.last) if there == self.last else at


class MistralParser(JSONCallParser):
    """The habits of Mistral's models: a list of objects, or a marker and a name for each call."""

    marker = "[TOOL_CALLS]"

    def _read_opening(self, text: str, at: int) -> int:
        at = self._buffer_whitespace(text, at)
        if not text.startswith("[", at):
            return self._start_call(text, at, _NAMED_CALL, _PARTIAL_NAMED_CALL)
        self._append_buffer("[")
        self._state = self._element
        return at + 1

    def _element(self, text: str, at: int) -> int:
        """Between the calls of a list."""
        at = self._buffer_whitespace(text, at)
        mark = text[at : at + 1]
        if mark == "{":
            self._begin_object()
        elif mark == ",":
            self._append_buffer(mark)
        elif mark == "]":
            self._append_buffer(mark)
            if self.marker not in self._buffer:  # or else there was no call
                self._discard_buffer()
            self._emit_buffer_as_text()
        elif mark:
            self._emit_buffer_as_text()
        return at + (mark in {",", "]"})

    def _read_closing(self, text: str, at: int) -> int:
        if self._enveloped:
            self._state = self._element
            return at
        end = skip_whitespace(text, at)
        self._emit_text(text[at:end])
        if end < len(text):
            self._note_surplus(text, end)
            self._state = self._text
        return end

    def _unfinished(self) -> bool:
        between = self._state == self._element and not "".join(self._buffer).strip()
        return super()._unfinished() and not between


class LlamaParser(JSONCallParser):
    """The habit of Llama 3: nothing but a call, or several. Where a JSON answer is no call, its first keys show it."""

    marker = "<|python_tag|>"
    first = "{"

    def _read_opening(self, text: str, at: int) -> int:
        return self._start_call(text, self._buffer_whitespace(text, at), HEAD, _PARTIAL_HEAD)

    def _read_closing(self, text: str, at: int) -> int:
        at = skip_whitespace(text, at)
        if text.startswith(";", at):
            self._append_buffer(";")
            self._state = self._read_opening
            return at + 1
        if at < len(text):
            self._note_surplus(text, at)
            self._state = self._text
        return at

    def _unfinished(self) -> bool:
        if self._state == self._read_opening:
            return '"name"' in self._held
        return self._state != self._start and super()._unfinished()


class PythonicParser(TextParser):
    """The habit of Llama 3.2, Llama 4 and ToolACE: nothing but a list, which only the end of the answer shows."""

    first = "["
    max_buffered = _MAX_PYTHON

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._brackets = JSONValueScanner(mark=_PYTHON_MARK)

    def flush(self, out: list[Event]) -> None:
        """Nothing more is to come: hand out what was held back, as calls if it is a list of them."""
        self._out = out
        if self._state == self._over:
            for name, arguments in _python_calls("".join(self._buffer)):
                self._emit_call(name, arguments)
        super().flush(out)

    def _read_opening(self, text: str, at: int) -> int:
        if _PYTHON.match(text, at, at + MAX_HEAD):
            self._state = self._list
        elif len(text) - at < MAX_HEAD and _PARTIAL_PYTHON.match(text, at):
            return self._wait_for_more(text, at)
        else:
            self._state = self._text
        return at

    def _list(self, text: str, at: int) -> int:
        end = self._brackets.find_end(text, at)
        self._append_buffer(text[at:end])
        if self._brackets.is_closed:
            self._state = self._over
        return end

    def _over(self, text: str, at: int) -> int:
        at = self._buffer_whitespace(text, at)
        if at < len(text):
            self._emit_buffer_as_text()
        return at

    def _unfinished(self) -> bool:
        return self._state == self._list or "(" in self._held


def _python_calls(text: str) -> list[tuple[str, str]]:
    """Names and arguments of a list of calls in Python, empty if it is none. Nothing of it is run."""
    try:
        tree = _JSONNames().visit(ast.parse(text.strip(), mode="eval")).body
        return [_python_call(node) for node in tree.elts] if isinstance(tree, ast.List) else []
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
        return []


def _python_call(node: ast.expr) -> tuple[str, str]:
    match node:
        case ast.Call(ast.Name(name), [], keywords) if all(word.arg for word in keywords):
            arguments = _json.dumps({word.arg: ast.literal_eval(word.value) for word in keywords})
            return name, arguments.decode("utf-8", "replace")  # a literal may have half a character in it
    raise ValueError("no call with named arguments")


class _JSONNames(ast.NodeTransformer):
    """Some models write `True`, `False` and `None` as in JSON."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        names = {"true": True, "false": False, "null": None}
        return ast.Constant(names[node.id]) if node.id in names else node


FORMATS: dict[str, type[TextParser]] = {
    "hermes": HermesParser,
    "mistral": MistralParser,
    "llama3_json": LlamaParser,
    "pythonic": PythonicParser,
}
