"""What a server passes through as text, because it runs without parsers: tool calls and reasoning, on any dialect.

| `--tool-call-parser` of vLLM | what the model writes |
|---|---|
| `hermes` | `<tool_call>{"name": "f", "arguments": {…}}</tool_call>`, text around them |
| `mistral` | `[TOOL_CALLS][{"name": "f", "arguments": {…}}, …]`, or `[TOOL_CALLS]f{…}`, with `[CALL_ID]` and `[ARGS]` |
| `llama3_json` | `{"name": "f", "parameters": {…}}`, after `<|python_tag|>` or at the start, several with `;` between |
| `pythonic` | `[f(city="Paris"), g()]`, the whole answer, and every value a literal |

Sources: vllm/tool_parsers and vllm/reasoning, whose names these are.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from mdstream_core._choices import find_choice
from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects._text_scanner import Reasoning, ReasoningParser, TextParser
from mdstream_core.dialects._text_tool_calls import FORMATS
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Finish, ModelResponse, ReasoningDelta, TextDelta, ToolCallDelta


class _ChoiceParser:
    """One answer while it comes in."""

    __slots__ = ("_index", "reason", "reasoning_parser", "text_parser")

    def __init__(self, index: int, reader: type[TextParser], reasoning: Reasoning | None) -> None:
        self._index = index
        self.text_parser = reader(index)
        self.reasoning_parser = ReasoningParser(index, reasoning) if reasoning else None
        self.reason = ""

    def feed(self, event: TextDelta, out: list[Event]) -> None:
        thought = self.reasoning_parser
        if thought is None:
            self.text_parser.feed(event, out)
            return
        if rest := thought.feed(event.text, out):
            self.text_parser.feed(TextDelta(rest, self._index), out)
        if thought.is_complete:
            self.reasoning_parser = None

    def flush(self, out: list[Event]) -> None:
        if self.reasoning_parser is not None and (rest := self.reasoning_parser.flush(out)):
            self.text_parser.feed(TextDelta(rest, self._index), out)
        self.text_parser.flush(out)


class TextParsingDecoder:
    """Reads what another decoder takes for text."""

    def __init__(self, inner: Decoder, reader: type[TextParser], reasoning: Reasoning | None) -> None:
        self._inner = inner
        self._reader = reader
        self._reasoning = reasoning
        self._choices: dict[int, _ChoiceParser] = {}
        self._has_failed: MDStreamError | None = None

    @property
    def error(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return self._has_failed or self._inner.error

    @property
    def is_finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return self._inner.is_finished and self._has_failed is None

    @property
    def is_complete(self) -> bool:
        """Whether nothing more of the answer is to come."""
        return self._inner.is_complete and self._has_failed is None

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload. What was held back comes before an error."""
        out: list[Event] = []
        try:
            self._read(self._inner.feed(data, event), out)
        except MDStreamError as error:
            self._has_failed = error
        if (broken := self.error) is not None:
            self._flush(out)
            if not out:
                raise broken
        return out

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole, and each call in it."""
        if self._has_failed is not None:
            raise self._has_failed
        out: list[Event] = []
        self._read(self._inner.finish(is_document=is_document), out)
        self._flush(out)
        for choice in self._choices.values():
            choice.text_parser.finish(truncated=choice.reason == "length")
        return out

    def flush(self) -> list[Event]:
        """What has come and was not told yet: the beginning of a marker or of a call."""
        out: list[Event] = []
        self._read(self._inner.flush(), out)
        self._flush(out)
        return out

    def _read(self, events: list[Event], out: list[Event]) -> None:
        for event in events:
            if type(event) is TextDelta:  # a token
                (self._choices.get(event.choice) or self._choice(event.choice)).feed(event, out)
            elif read := _EVENT_HANDLERS.get(type(event)):
                read(self, event, out)
            else:
                out.append(event)

    def _choice(self, index: int) -> _ChoiceParser:
        if index not in self._choices:
            self._choices[index] = _ChoiceParser(index, self._reader, self._reasoning)
        return self._choices[index]

    def _flush(self, out: list[Event]) -> None:
        for choice in self._choices.values():
            choice.flush(out)

    def _on_finish(self, event: Finish, out: list[Event]) -> None:
        choice = self._choice(event.choice)
        choice.flush(out)
        choice.reason = event.reason
        called = event.reason == "stop" and choice.text_parser.calls
        out.append(Finish("tool_calls", event.choice) if called else event)

    def _on_reasoning(self, event: ReasoningDelta, out: list[Event]) -> None:
        """The server reads thoughts itself: what comes as text is text."""
        choice = self._choice(event.choice)
        if choice.reasoning_parser is not None and not choice.reasoning_parser.has_started:
            choice.reasoning_parser = None
        out.append(event)

    def _on_tool_call(self, event: ToolCallDelta, out: list[Event]) -> None:
        """The server reads calls itself: these get an index beside those in the text."""
        function = {"name": event.name, "arguments": event.arguments}
        entry = {"index": ("server", event.index), "id": event.id, "function": function}
        out += self._choice(event.choice).text_parser.calls.read([entry])


_EVENT_HANDLERS: dict[type, Callable[[TextParsingDecoder, Any, list[Event]], None]] = {
    Finish: TextParsingDecoder._on_finish,
    ReasoningDelta: TextParsingDecoder._on_reasoning,
    ToolCallDelta: TextParsingDecoder._on_tool_call,
}


class TextParsingDialect:
    """A dialect whose text has tool calls or reasoning in it, which the server does not read.

    A model server reads them only when it was started with parsers (vLLM's `--tool-call-parser` and
    `--reasoning-parser`); without, they come as the model wrote them. vLLM then refuses `tools` unless `tool_choice` is
    `"none"`, and leaves out special tokens, of which `[TOOL_CALLS]` is one, unless `skip_special_tokens` is `False`.

    An answer in which a call stops in the middle raises `IncompleteToolCall`. Where it breaks, `partial` has all that
    was received: what could not be told as a call is told as text.

    Args:
        dialect: What is spoken around the text.
        tool_calls: How the model writes calls: `hermes`, `mistral`, `llama3_json` or `pythonic`, as vLLM names them.
        reasoning: `think` if an answer may begin with `<think>`, up to `</think>`; `open` if it begins inside of the
            thought, because the prompt ended with `<think>` (DeepSeek-R1, newer Qwen).

    Example:
        >>> from mdstream_core import TextParsingDialect, OpenAIChat, ModelResponse
        >>> create_decoder = TextParsingDialect(OpenAIChat(), tool_calls="pythonic", reasoning="think").create_decoder()
        >>> said = b'{"choices": [{"delta": {"content": "<think>Hm</think>[f(a=1)]"}, "finish_reason": "stop"}]}'
        >>> reply = ModelResponse.of(create_decoder.feed(said))
        >>> reply.reasoning, reply.tool_calls[0].arguments, reply.finish_reason
        ('Hm', '{"a":1}', 'tool_calls')
    """

    def __init__(self, dialect: Dialect, *, tool_calls: str | None = None, reasoning: Reasoning | None = None) -> None:
        if tool_calls is not None:
            tool_calls = find_choice("tool_calls", tool_calls, FORMATS)
        if reasoning is not None:
            reasoning = find_choice("reasoning", reasoning, get_args(Reasoning))
        self.name = dialect.name
        self.route = dialect.route
        self._dialect = dialect
        self._reader = FORMATS[tool_calls] if tool_calls else TextParser
        self._reasoning = reasoning

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The inner dialect's question."""
        return self._dialect.build_payload(params, stream=stream)

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """The inner dialect's second question."""
        return self._dialect.relax_payload(payload, error)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """The inner dialect's, where the second half of an answer can be read without the first."""
        if self._reasoning == "open" or self._reader.first:
            return None
        return self._dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """A fresh decoder, around the inner dialect's."""
        inner = self._dialect.create_decoder()
        if self._reader is TextParser and self._reasoning is None:
            return inner
        return TextParsingDecoder(inner, self._reader, self._reasoning)
