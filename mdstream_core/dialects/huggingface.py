"""Hugging Face's format with `inputs` and `parameters`, as TGI, LMI and JumpStart's Llama use it.

Shapes of response payloads:

| payload | server |
|---|---|
| `{"token": {"text", "special", …}, "generated_text": null, "details": null}` | TGI, and LMI's new handler |
| `{"token": {"text", "log_prob"}}` …; the last one has `generated_text`, `details` | LMI's rolling batch |
| `{"outputs": ["This"]}` | LMI's dynamic batch; it has no end marker |
| `[{"generated_text": …}]` or `{"generated_text": …}` | both, without streaming |
| `[{"generation": {"role", "content"}}]` | JumpStart's Llama |

A `generated_text` or `generation` that has no finish reason and follows no token may be followed by another one. Such a
response ends with the body.

Sources: huggingface/text-generation-inference @db931fc, deepjavalibrary/djl-serving @d21927c.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._choice_decoder import build_stream_failure
from mdstream_core.dialects._detect import wrong_dialect_error
from mdstream_core.dialects._finish_reasons import FAILURE_REASONS, is_known, read_finish_reason
from mdstream_core.dialects._huggingface_names import flatten_parameters
from mdstream_core.dialects._limits import MAX_CHOICES, over_limit, read_count
from mdstream_core.dialects._surrogates import SurrogateJoiner
from mdstream_core.dialects._text_template import TemplateMixin, has_nothing_else
from mdstream_core.errors import (
    SHAPE_ERRORS,
    ErrorBody,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    parse_error_object,
    quote_payload,
    unexpected_shape,
)
from mdstream_core.events import Event, Finish, TextDelta, Usage


class HuggingFaceDecoder(TemplateMixin):
    """Decoder for one response, streamed or whole. Log probabilities of tokens are not decoded.

    Args:
        name: The name of the dialect, for error messages.
    """

    ignored_names: ClassVar[tuple[bytes, ...]] = (b'"index"', b'"id"', b'"logprob"', b'"log_prob"')

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts: dict[int, list[str]] = {}  # the streamed text of each choice
        self._full_texts: dict[int, str] = {}  # the `generated_text` of each choice
        self._finished: set[int] = set()
        self._has_no_end_marker = False
        self._joiner: SurrogateJoiner | None = None
        #: The error of a payload that also had events.
        self.error: MDStreamError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every choice that was received has finished."""
        return bool(self._texts) and len(self._finished) == len(self._texts) and self.error is None

    is_finished = is_complete

    def decode_payload(self, data: bytes, event: str) -> list[Event]:
        """Decode one payload of any form."""
        text = data.strip()
        if event != "error" and (not text or text == b"[DONE]"):
            return []
        try:
            payload = _json.parse(text)
        except _json.PARSE_ERRORS:
            payload = self._read_nonstandard(text, event)
        events: list[Event] = []
        try:
            if event == "error":
                self.error = _reported_failure(parse_error_object(payload) or ErrorBody(quote_payload(text)), text)
            else:
                self._read(payload, text, events)
        except MDStreamError as error:
            self.error = error
        except SHAPE_ERRORS as error:
            self.error = unexpected_shape(text, error)
        if self._joiner is not None:
            events = self._joiner.join(events)
        if self.error and not events:
            raise self.error
        return events

    def has_only_text(self, payload: dict[str, Any]) -> bool:
        """Return whether all other fields of a payload with a piece of text are empty, ignored or without effect."""
        token = payload.get("token")
        return (
            isinstance(token, dict)
            and has_nothing_else(payload, "index", "token")
            and has_nothing_else(token, "id", "text", "logprob", "log_prob")
        )

    def accepts_text(self, choice: int) -> bool:
        """Return whether a payload that has only text adds it to this choice, and does nothing else."""
        return not (self.error or self._joiner)

    def write_texts(self, texts: list[str], choice: int) -> None:
        """Add pieces of text to a choice."""
        if texts:
            self._texts[choice] += texts
            self._finished.discard(choice)  # more text: the choice had not finished

    def flush(self) -> list[Event]:
        """Return the event that is still buffered: one half of a surrogate pair."""
        return self._joiner.flush() if self._joiner else []

    def _read_nonstandard(self, data: bytes, event: str) -> Any:
        """Parse a payload that is not strict JSON: one half of a surrogate pair, NaN. Raises if it is not JSON."""
        try:
            payload = _json.loads_nonstandard(data)
        except ValueError:
            quoted = quote_payload(data)
            if event == "error":
                reason = quoted or "no error message"
                raise StreamFailure(f"the service ended the stream: {reason}", raw=quoted) from None
            raise MalformedStream(f"a payload is not JSON: {quoted}", raw=quoted) from None
        self._joiner = self._joiner or SurrogateJoiner()
        return payload

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response is complete. A format without an end marker ends with the body."""
        if self.error:
            raise self.error
        if not self._texts:
            raise StreamInterrupted("the stream ended without output: no token was received", code="EmptyStream")
        events: list[Event] = []
        if self._has_no_end_marker:
            for choice in self._texts.keys() - self._finished:
                self._finish(choice, "stop", events)
        if not self.is_complete:
            raise StreamInterrupted("the stream ended before generated_text or a finish reason")
        return [*self.flush(), *events]

    def _read(self, payload: Any, data: bytes, events: list[Event]) -> None:
        for choice, entry in enumerate(payload if isinstance(payload, list) else [payload]):
            if isinstance(entry, dict):
                if not _ERROR_FIELDS.isdisjoint(entry) and (failure := _failure(entry, data)):
                    self.error = failure
                    return
                if "token" in entry:  # the fast path
                    self._token(entry, choice, events)
                    continue
                if read := next((read for key, read in _READERS.items() if key in entry), None):
                    read(self, entry, choice, events)
                    continue
            self.error = wrong_dialect_error(self._name, payload, quote_payload(data))
            return

    def _token(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        token = entry["token"]
        token = {"text": token} if isinstance(token, str) else token
        reason = read_finish_reason(details.get("finish_reason")) if (details := entry.get("details")) else ""
        if problem := token.get("error_msg"):
            self.error = StreamFailure(f"the model server failed: {_json.to_text(problem)}", code=reason or "error")
            return
        if reason and self._finish_failure(reason):
            return
        self._get_text(choice)
        if not (token.get("special") or token.get("special_token")):
            self._emit_text(token.get("text"), choice, events)
        if entry.get("generated_text") is not None or is_known(reason):
            self._read_full_text(entry, choice, events)

    def _read_full_text(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        """Read a whole text and emit what was not streamed of it. A text that was not streamed ends with the body."""
        details = entry.get("details") or {}
        streamed = "token" in entry or (bool(self._texts.get(choice)) and choice not in self._full_texts)
        if not self._emit_remaining_text(entry.get("generated_text"), choice, events):
            self.error = MalformedStream(
                "a second generated_text that does not continue the first: "
                f"{self._full_texts[choice][-100:]!r}, then {str(entry['generated_text'])[:100]!r}",
                raw=str(entry["generated_text"])[:2000],
            )
            return
        if "generated_tokens" in details:
            events.append(_usage(details))
        reason = read_finish_reason(details.get("finish_reason"))
        if reason or streamed:
            self._finish(choice, reason or "stop", events)
        else:
            self._has_no_end_marker = True

    def _emit_remaining_text(self, text: Any, choice: int, events: list[Event]) -> bool:
        """Emit what is new in a whole text. Return whether it continues the previous whole text, if there was one.

        The streamed tokens take precedence: a whole text may lack the stop sequence, or start with the prompt.
        """
        streamed = self._get_text(choice)
        if not text:
            return True
        before = self._full_texts.get(choice)
        known = before if before is not None else _json.replace_lone_surrogates("".join(streamed))
        if not text.startswith(known):
            known, text = known.lstrip(), text.lstrip()  # the first token may start with a space
        if text.startswith(known):
            self._emit_text(text[len(known) :], choice, events)
        elif before is not None:
            return False
        self._full_texts[choice] = text
        return True

    def _finish_failure(self, reason: Any) -> bool:
        if str(reason).lower() not in FAILURE_REASONS:
            return False
        self.error = StreamFailure(f"the model server failed: finish_reason is {reason!r}", code=str(reason))
        return True

    def _outputs(self, entry: Mapping[str, Any], _: int, events: list[Event]) -> None:
        outputs = entry["outputs"]
        self._has_no_end_marker = True
        for choice, text in enumerate([outputs] if isinstance(outputs, str) else outputs):
            self._emit_text(text, choice, events)

    def _generation(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        generation = entry["generation"]
        self._emit_text(generation if isinstance(generation, str) else generation["content"], choice, events)
        if reason := read_finish_reason(entry.get("finish_reason")):
            self._finish(choice, reason, events)
        else:
            self._has_no_end_marker = True

    def _get_text(self, choice: int) -> list[str]:
        """Return the streamed text of a choice, an empty list for a new choice."""
        text = self._texts.get(choice)
        if text is None:
            if choice >= MAX_CHOICES:
                raise over_limit("choices", MAX_CHOICES)
            text = self._texts[choice] = []
        return text

    def _emit_text(self, text: Any, choice: int, events: list[Event]) -> None:
        self._get_text(choice)
        if text:
            if not isinstance(text, str):
                raise TypeError(f"{text!r} is not a string")
            self._texts[choice].append(text)
            self._finished.discard(choice)  # more text: the choice had not finished
            events.append(TextDelta(text, choice))

    def _finish(self, choice: int, reason: str, events: list[Event]) -> None:
        self._get_text(choice)
        if choice not in self._finished and not self._finish_failure(reason):
            self._finished.add(choice)
            events.append(Finish(reason, choice))


#: The fields that `parse_error_object` reads: an entry without any of them is not an error.
_ERROR_FIELDS = frozenset({"detail", "error", "error_message", "error_msg", "message"})

_READERS: dict[str, Callable[[HuggingFaceDecoder, Mapping[str, Any], int, list[Event]], None]] = {
    "token": HuggingFaceDecoder._token,
    "generated_text": HuggingFaceDecoder._read_full_text,
    "outputs": HuggingFaceDecoder._outputs,
    "generation": HuggingFaceDecoder._generation,
}


def _usage(details: Mapping[str, Any]) -> Usage:
    prompt, completion = (read_count(details.get(name)) or 0 for name in ("input_length", "generated_tokens"))
    return Usage(prompt, completion, prompt + completion)


def _failure(entry: Mapping[str, Any], data: bytes) -> StreamFailure | None:
    error_body = parse_error_object(entry)
    return _reported_failure(error_body, data) if error_body else None


def _reported_failure(error_body: ErrorBody, data: bytes) -> StreamFailure:
    return build_stream_failure(error_body, quote_payload(data, 2000), retryable=frozenset({424}))


#: Request parameters that are not copied into `parameters`.
_NOT_PARAMETERS = frozenset(
    {"inputs", "messages", "model", "n", "parallel_tool_calls", "prompt", "stream", "stream_options", "tool_choice"}
    | {"tools", "user", "response_format", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop"}
    | {"stop_sequences"}
)


def build_parameters(params: Mapping[str, Any], *, stop: str) -> dict[str, Any]:
    """Translate OpenAI's options to `parameters`. Unknown options are passed through.

    Args:
        params: The request parameters, in the shape of the OpenAI API.
        stop: The name of the field for stop sequences.

    Raises:
        InvalidRequest: An option has no counterpart, for example `tools`.
    """
    params = flatten_parameters(params)
    if params.get("tools"):
        raise _unsupported_error("tools")
    if (params.get("n") or 1) > 1:
        raise _unsupported_error("more than one choice (n)")
    parameters = {name: value for name, value in params.items() if value is not None and name not in _NOT_PARAMETERS}
    if (min_tokens := parameters.pop("min_tokens", None)) is not None:
        parameters["min_new_tokens"] = min_tokens
    max_tokens = params.get("max_completion_tokens") or params.get("max_tokens")
    if max_tokens is not None:
        parameters["max_new_tokens"] = max_tokens
    if (temperature := params.get("temperature")) is not None:
        parameters.setdefault("do_sample", temperature > 0)  # both sample only if set; TGI rejects a temperature of 0
        parameters |= {"temperature": temperature} if temperature else {}
    if 0 < (params.get("top_p") or 0) < 1:  # TGI rejects 1, which is the default
        parameters["top_p"] = params["top_p"]
    if stops := params.get("stop") or params.get("stop_sequences"):
        parameters[stop] = [stops] if isinstance(stops, str) else list(stops)
    return parameters


def build_prompt(params: Mapping[str, Any], *, image: Callable[[str], str] | None = None) -> str:
    r"""Return the prompt: `inputs` or `prompt` unchanged, or the messages as text, without the model's chat template.

    A single message becomes its text, several messages a dialog. `image` converts the URL of an image to text; without
    it an image is an error.

    >>> build_prompt({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})
    'Be brief.\n\nUser: Hi\n\nAssistant:'
    """
    prompt = params.get("inputs", params.get("prompt"))
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    messages: Sequence[Mapping[str, Any]] = params.get("messages") or ()
    if prompt is not None or not messages:
        raise InvalidRequest("the request has neither a single prompt nor messages", code="InvalidParameter")
    if len(messages) == 1:
        return _message_text(messages[0], image)
    turns = [
        f"{_ROLE_PREFIXES.get(str(message.get('role')), '')}{_message_text(message, image)}" for message in messages
    ]
    return "\n\n".join([*turns, "Assistant:"])


_ROLE_PREFIXES = {"user": "User: ", "assistant": "Assistant: ", "tool": "Tool: ", "function": "Tool: "}


def _message_text(message: Mapping[str, Any], image: Callable[[str], str] | None) -> str:
    content = filter_assistant_content(message) or ""
    return content if isinstance(content, str) else "".join(_part_text(part, image) for part in content)


def _part_text(part: Any, image: Callable[[str], str] | None) -> str:
    match part:
        case str(text) | {"text": str(text)}:
            return text
        case {"type": "image_url", "image_url": str(url) | {"url": str(url)}} if image is not None:
            return image(url)
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    raise _unsupported_error(f"content parts of the type {kind!r}")


def _unsupported_error(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"this dialect does not support {what} (hint: set dialect='openai-chat' if the container supports it)",
        code="NotInThisDialect",
    )
