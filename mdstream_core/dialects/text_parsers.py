"""Parse tool calls and reasoning in the text of any dialect, for servers that run without parsers.

| `--tool-call-parser` of vLLM | output of the model |
|---|---|
| `hermes` | `<tool_call>{"name": "f", "arguments": {…}}</tool_call>`, with text around it |
| `mistral` | `[TOOL_CALLS][{"name": "f", "arguments": {…}}, …]`, or `[TOOL_CALLS]f{…}`, with `[CALL_ID]` and `[ARGS]` |
| `llama3_json` | `{"name": "f", "parameters": {…}}`, after `<|python_tag|>` or at the start, several with `;` between |
| `pythonic` | `[f(city="Paris"), g()]` as the whole output; all values are literals |

Sources: vllm/tool_parsers and vllm/reasoning, which define these names.
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
    """Parsers for the text of one choice."""

    __slots__ = ("_index", "reason", "reasoning_parser", "text_parser")

    def __init__(self, index: int, parser_class: type[TextParser], reasoning: Reasoning | None) -> None:
        self._index = index
        self.text_parser = parser_class(index)
        self.reasoning_parser = ReasoningParser(index, reasoning) if reasoning else None
        self.reason = ""

    def feed(self, event: TextDelta, out: list[Event]) -> None:
        reasoning_parser = self.reasoning_parser
        if reasoning_parser is None:
            self.text_parser.feed(event, out)
            return
        if rest := reasoning_parser.feed(event.text, out):
            self.text_parser.feed(TextDelta(rest, self._index), out)
        if reasoning_parser.is_complete:
            self.reasoning_parser = None

    def flush(self, out: list[Event]) -> None:
        if self.reasoning_parser is not None and (rest := self.reasoning_parser.flush(out)):
            self.text_parser.feed(TextDelta(rest, self._index), out)
        self.text_parser.flush(out)


class TextParsingDecoder:
    """Decoder that parses the text deltas of another decoder."""

    def __init__(self, inner: Decoder, parser_class: type[TextParser], reasoning: Reasoning | None) -> None:
        self._inner = inner
        self._parser_class = parser_class
        self._reasoning = reasoning
        self._choices: dict[int, _ChoiceParser] = {}
        self._error: MDStreamError | None = None

    @property
    def error(self) -> MDStreamError | None:
        """The error of a payload that also had events."""
        return self._error or self._inner.error

    @property
    def is_finished(self) -> bool:
        """Whether every choice has a finish reason."""
        return self._inner.is_finished and self._error is None

    @property
    def is_complete(self) -> bool:
        """Whether the response is complete."""
        return self._inner.is_complete and self._error is None

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload. Buffered text is returned before an error is raised."""
        out: list[Event] = []
        try:
            self._read(self._inner.feed(data, event), out)
        except MDStreamError as error:
            self._error = error
        if (failure := self.error) is not None:
            self._flush(out)
            if not out:
                raise failure
        return out

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response and each tool call are complete."""
        if self._error is not None:
            raise self._error
        out: list[Event] = []
        self._read(self._inner.finish(is_document=is_document), out)
        self._flush(out)
        for choice in self._choices.values():
            choice.text_parser.finish(truncated=choice.reason == "length")
        return out

    def flush(self) -> list[Event]:
        """Return the events that are still buffered: the start of a marker or of a tool call."""
        out: list[Event] = []
        self._read(self._inner.flush(), out)
        self._flush(out)
        return out

    def _read(self, events: list[Event], out: list[Event]) -> None:
        for event in events:
            if type(event) is TextDelta:  # the fast path: one token
                (self._choices.get(event.choice) or self._choice(event.choice)).feed(event, out)
            elif read := _EVENT_HANDLERS.get(type(event)):
                read(self, event, out)
            else:
                out.append(event)

    def _choice(self, index: int) -> _ChoiceParser:
        if index not in self._choices:
            self._choices[index] = _ChoiceParser(index, self._parser_class, self._reasoning)
        return self._choices[index]

    def _flush(self, out: list[Event]) -> None:
        for choice in self._choices.values():
            choice.flush(out)

    def _on_finish(self, event: Finish, out: list[Event]) -> None:
        choice = self._choice(event.choice)
        choice.flush(out)
        choice.reason = event.reason
        has_called_tools = event.reason == "stop" and choice.text_parser.calls
        out.append(Finish("tool_calls", event.choice) if has_called_tools else event)

    def _on_reasoning(self, event: ReasoningDelta, out: list[Event]) -> None:
        """Disable the reasoning parser: the server parses reasoning itself."""
        choice = self._choice(event.choice)
        if choice.reasoning_parser is not None and not choice.reasoning_parser.has_started:
            choice.reasoning_parser = None
        out.append(event)

    def _on_tool_call(self, event: ToolCallDelta, out: list[Event]) -> None:
        """Give a tool call that the server parsed itself an index beside those in the text."""
        function = {"name": event.name, "arguments": event.arguments}
        entry = {"index": ("server", event.index), "id": event.id, "function": function}
        out += self._choice(event.choice).text_parser.calls.read([entry])


_EVENT_HANDLERS: dict[type, Callable[[TextParsingDecoder, Any, list[Event]], None]] = {
    Finish: TextParsingDecoder._on_finish,
    ReasoningDelta: TextParsingDecoder._on_reasoning,
    ToolCallDelta: TextParsingDecoder._on_tool_call,
}


class TextParsingDialect:
    """Dialect that parses tool calls or reasoning in the text of another dialect's responses.

    A model server parses them only if it was started with parsers (vLLM's `--tool-call-parser` and
    `--reasoning-parser`); otherwise the text has the raw output of the model. vLLM then rejects `tools` unless
    `tool_choice` is `"none"`, and removes special tokens, such as `[TOOL_CALLS]`, unless `skip_special_tokens` is
    `False`.

    A response with a truncated tool call raises `IncompleteToolCall`. If a stream is interrupted, `partial` has all
    that was received; text that may be the start of a tool call is included as text.

    Args:
        dialect: The dialect of the server.
        tool_calls: The format of tool calls: `hermes`, `mistral`, `llama3_json` or `pythonic`, with vLLM's names;
            `None` (the default) if tool calls are not parsed.
        reasoning: `think` if the output may start with `<think>…</think>`; `open` if it starts inside the reasoning,
            because the prompt ended with `<think>` (DeepSeek-R1, newer Qwen); `None` (the default) if reasoning is not
            parsed.

    Raises:
        ValueError: `tool_calls` or `reasoning` is unknown.

    Example:
        >>> from mdstream_core import TextParsingDialect, OpenAIChat, ModelResponse
        >>> decoder = TextParsingDialect(OpenAIChat(), tool_calls="pythonic", reasoning="think").create_decoder()
        >>> data = b'{"choices": [{"delta": {"content": "<think>Hm</think>[f(a=1)]"}, "finish_reason": "stop"}]}'
        >>> response = ModelResponse.from_events(decoder.feed(data))
        >>> response.reasoning, response.tool_calls[0].arguments, response.finish_reason
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
        self._parser_class = FORMATS[tool_calls] if tool_calls else TextParser
        self._reasoning = reasoning

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body of the inner dialect."""
        return self._dialect.build_payload(params, stream=stream)

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Delegate to the inner dialect."""
        return self._dialect.relax_payload(payload, error)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Delegate to the inner dialect, unless the continuation cannot be parsed without the first part."""
        if self._reasoning == "open" or self._parser_class.first:
            return None
        return self._dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response, around the inner dialect's."""
        inner = self._dialect.create_decoder()
        if self._parser_class is TextParser and self._reasoning is None:
            return inner
        return TextParsingDecoder(inner, self._parser_class, self._reasoning)
