"""Parsers for the formats in which models write tool calls into their text, by vLLM's names.

Sources: vllm/tool_parsers, which defines these names.
"""

import ast
import re
from typing import ClassVar

from mdstream_core import _json
from mdstream_core.dialects._json_scanner import JSONValueScanner
from mdstream_core.dialects._text_scanner import HEAD, MAX_HEAD, JSONCallParser, TextParser, skip_whitespace
from mdstream_core.events import Event

#: The most text of Python tool calls that is buffered, in characters: their syntax tree needs 500 times the memory.
_MAX_PYTHON = 128 * 1024

#: Any beginning of `HEAD`.
_PARTIAL_HEAD = re.compile(
    r"""\{\s*(?:"type"\s*:\s*"\w*"\s*,\s*)?+(?:\Z|"\w*\Z|"(?:type|name)"\s*(?:\Z|:\s*(?:\Z|"[^"\\]*+(?:\Z|"\s*(?:\Z|,\s*
    (?:\Z|"\w*\Z|"(?:arguments|parameters)"\s*(?:\Z|:\s*\Z)))))))""",
    re.VERBOSE,
)

#: The start of a tool call of Mistral's models without an object around the name, and any beginning of it.
_NAMED_CALL = re.compile(r"(?P<name>[\w.-]+)(?:\[CALL_ID\](?P<id>\w+))?(?:\[ARGS\])?\s*(?=\{)")
_PARTIAL_NAMED_CALL = re.compile(r"[\w.-]++(?:\[[A-Z_]*+\]?\w*+)*+\s*\Z")

#: The start of a list of Python calls, and any beginning of it.
_PYTHON = re.compile(r"\[\s*[A-Za-z_]\w*\(\s*(?:\)|[A-Za-z_]\w*\s*=)")
_PARTIAL_PYTHON = re.compile(r"\[\s*(?:\Z|[A-Za-z_]\w*+(?:\Z|\(\s*(?:\Z|[A-Za-z_]\w*+\s*\Z)))")

_PYTHON_DELIMITERS = re.compile(r"""["'(){}\[\]]""")


class HermesParser(JSONCallParser):
    """Parser for the format of Hermes and Qwen."""

    marker = "<tool_call>"
    closing_marker: ClassVar[str] = "</tool_call>"

    def _read_opening(self, text: str, at: int) -> int:
        at = self._buffer_whitespace(text, at)
        if text.startswith("{", at):
            self._start_object()
        elif at < len(text):
            self._emit_buffer_as_text()
        return at

    def _read_closing(self, text: str, at: int) -> int:
        at = skip_whitespace(text, at)
        closing = text[at : at + len(self.closing_marker)]
        if closing != self.closing_marker and self.closing_marker.startswith(closing):
            return self._wait_for_more(text, at)
        self._note_surplus(text, at)
        self._state = self._text
        return at + len(self.closing_marker) if closing == self.closing_marker else at


class MistralParser(JSONCallParser):
    """Parser for the formats of Mistral's models: a list of objects, or a marker and a name for each call."""

    marker = "[TOOL_CALLS]"

    def _read_opening(self, text: str, at: int) -> int:
        at = self._buffer_whitespace(text, at)
        if not text.startswith("[", at):
            return self._start_call(text, at, _NAMED_CALL, _PARTIAL_NAMED_CALL)
        self._append_buffer("[")
        self._state = self._element
        return at + 1

    def _element(self, text: str, at: int) -> int:
        """State between the calls of a list."""
        at = self._buffer_whitespace(text, at)
        char = text[at : at + 1]
        if char == "{":
            self._start_object()
        elif char == ",":
            self._append_buffer(char)
        elif char == "]":
            self._append_buffer(char)
            if self.marker not in self._buffer:  # the list had a call
                self._discard_buffer()
            self._emit_buffer_as_text()
        elif char:
            self._emit_buffer_as_text()
        return at + (char in {",", "]"})

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
        is_between_calls = self._state == self._element and not "".join(self._buffer).strip()
        return super()._unfinished() and not is_between_calls


class LlamaParser(JSONCallParser):
    """Parser for the format of Llama 3: the output is nothing but tool calls, recognized by the first keys."""

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
            return '"name"' in self._incomplete
        return self._state != self._start and super()._unfinished()


class PythonicParser(TextParser):
    """Parser for the format of Llama 3.2, Llama 4 and ToolACE: the whole output is a list, parsed at its end."""

    first = "["
    max_buffered = _MAX_PYTHON

    def __init__(self, choice: int) -> None:
        super().__init__(choice)
        self._brackets = JSONValueScanner(delimiters=_PYTHON_DELIMITERS)

    def flush(self, out: list[Event]) -> None:
        """Append what is buffered at the end of the response to `out`, as calls if it is a list of calls."""
        self._out = out
        if self._state == self._end:
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
            self._state = self._end
        return end

    def _end(self, text: str, at: int) -> int:
        at = self._buffer_whitespace(text, at)
        if at < len(text):
            self._emit_buffer_as_text()
        return at

    def _unfinished(self) -> bool:
        return self._state == self._list or "(" in self._incomplete


def _python_calls(text: str) -> list[tuple[str, str]]:
    """Return names and arguments of a list of Python calls; an empty list if it is none. Nothing is executed."""
    try:
        tree = _JSONNames().visit(ast.parse(text.strip(), mode="eval")).body
        return [_python_call(node) for node in tree.elts] if isinstance(tree, ast.List) else []
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
        return []


def _python_call(node: ast.expr) -> tuple[str, str]:
    match node:
        case ast.Call(ast.Name(name), [], keywords) if all(keyword.arg for keyword in keywords):
            arguments = _json.dumps({keyword.arg: ast.literal_eval(keyword.value) for keyword in keywords})
            return name, arguments.decode("utf-8", "replace")  # a literal may have half a surrogate pair
    raise ValueError("not a call with keyword arguments only")


class _JSONNames(ast.NodeTransformer):
    """Replaces `true`, `false` and `null`, which some models write as in JSON."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        names = {"true": True, "false": False, "null": None}
        return ast.Constant(names[node.id]) if node.id in names else node


FORMATS: dict[str, type[TextParser]] = {
    "hermes": HermesParser,
    "mistral": MistralParser,
    "llama3_json": LlamaParser,
    "pythonic": PythonicParser,
}
