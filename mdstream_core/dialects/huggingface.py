"""The containers' own format, `inputs` and `build_parameters`, before they learnt OpenAI's: TGI, LMI, JumpStart.

| payload | who writes it |
|---|---|
| `{"token": {"text", "special", …}, "generated_text": null, "details": null}` | TGI, and LMI's new handler |
| `{"token": {"text", "log_prob"}}` … last one with `generated_text`, `details` | LMI's rolling batch |
| `{"outputs": ["This"]}` | LMI's dynamic batch: it has no mark of the end |
| `[{"generated_text": …}]` or `{"generated_text": …}` | both, whole |
| `[{"generation": {"role", "content"}}]` | JumpStart's Llama |

A `generated_text` or a `generation` without a finish reason, and no token before it, may be followed by another one:
the end of the body is the end of the answer.

Sources: huggingface/text-generation-inference @db931fc, deepjavalibrary/djl-serving @d21927c.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._assistant_content import filter_assistant_content
from mdstream_core.dialects._choice_decoder import build_stream_failure
from mdstream_core.dialects._detect import wrong_dialect_error
from mdstream_core.dialects._finish_reasons import FAILURE_REASONS, is_known, read_finish_reason
from mdstream_core.dialects._huggingface_names import flatten_parameters
from mdstream_core.dialects._limits import MAX_CHOICES, over_limit, read_count
from mdstream_core.dialects._surrogates import SurrogateJoiner
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


class HuggingFaceDecoder:
    """Reads one answer, streamed or whole. The log probability that each token has is not handed on.

    Args:
        name: The dialect's name, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: dict[int, list[str]] = {}  # choice: what it has said
        self._full_texts: dict[int, str] = {}  # choice: its generated_text
        self._finished: set[int] = set()
        self._has_no_end_marker = False
        self._joiner: SurrogateJoiner | None = None
        #: What was wrong with a payload that had events too.
        self.error: MDStreamError | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every choice that was seen has finished."""
        return bool(self._open) and len(self._finished) == len(self._open) and self.error is None

    is_finished = is_complete

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
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

    def flush(self) -> list[Event]:
        """What has come and was not told yet: half a character."""
        return self._joiner.flush() if self._joiner else []

    def _read_nonstandard(self, data: bytes, event: str) -> Any:
        """A payload that a fast parser refuses: half a character, NaN, or no JSON at all."""
        try:
            payload = _json.loads_nonstandard(data)
        except ValueError:
            kind, why = (
                (StreamFailure, "the service ended the stream") if event == "error" else (MalformedStream, "no JSON")
            )
            raise kind(f"{why}: {quote_payload(data) or 'no words'}", raw=quote_payload(data)) from None
        self._joiner = self._joiner or SurrogateJoiner()
        return payload

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole. Where a format has no mark of the end, the end of the body is it."""
        if self.error:
            raise self.error
        if not self._open:
            raise StreamInterrupted("the stream ended without an answer: not one token was in it", code="EmptyStream")
        events: list[Event] = []
        if self._has_no_end_marker:
            for choice in self._open.keys() - self._finished:
                self._finish(choice, "stop", events)
        if not self.is_complete:
            raise StreamInterrupted("the stream ended before generated_text or a finish reason")
        return [*self.flush(), *events]

    def _read(self, payload: Any, data: bytes, events: list[Event]) -> None:
        for choice, entry in enumerate(payload if isinstance(payload, list) else [payload]):
            if isinstance(entry, dict):
                if not _ERRORS.isdisjoint(entry) and (failure := _failure(entry, data)):
                    self.error = failure
                    return
                if "token" in entry:  # the first of the readers: what is streamed
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
            self.error = StreamFailure(f"the model server gave up: {_json.to_text(problem)}", code=reason or "error")
            return
        if reason and self._finish_failure(reason):
            return
        self._known(choice)
        if not (token.get("special") or token.get("special_token")):
            self._emit_text(token.get("text"), choice, events)
        if entry.get("generated_text") is not None or is_known(reason):
            self._read_full_text(entry, choice, events)

    def _read_full_text(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        """The whole text: what was not streamed of it is new. A text that was nowhere before ends with the body."""
        details = entry.get("details") or {}
        streamed = "token" in entry or (bool(self._open.get(choice)) and choice not in self._full_texts)
        if not self._emit_remaining_text(entry.get("generated_text"), choice, events):
            self.error = MalformedStream(
                "a second generated_text that does not go on with the first: "
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
        """Say what is new in a whole text; whether it fits the whole text before it, if there was one.

        The tokens are what counts: a whole text may lack a stop sequence at its end or have the prompt before it.
        """
        said = self._known(choice)
        if not text:
            return True
        before = self._full_texts.get(choice)
        known = before if before is not None else _json.replace_lone_surrogates("".join(said))
        if not text.startswith(known):
            known, text = known.lstrip(), text.lstrip()  # tokens begin with a space that the whole may not have
        if text.startswith(known):
            self._emit_text(text[len(known) :], choice, events)
        elif before is not None:
            return False
        self._full_texts[choice] = text
        return True

    def _finish_failure(self, reason: Any) -> bool:
        if str(reason).lower() not in FAILURE_REASONS:
            return False
        self.error = StreamFailure(f"the model server gave up: finish_reason is {reason!r}", code=str(reason))
        return True

    def _outputs(self, entry: Mapping[str, Any], _: int, events: list[Event]) -> None:
        outputs = entry["outputs"]
        self._has_no_end_marker = True
        for choice, text in enumerate([outputs] if isinstance(outputs, str) else outputs):
            self._emit_text(text, choice, events)

    def _generation(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        said = entry["generation"]
        self._emit_text(said if isinstance(said, str) else said["content"], choice, events)
        if reason := read_finish_reason(entry.get("finish_reason")):
            self._finish(choice, reason, events)
        else:
            self._has_no_end_marker = True

    def _known(self, choice: int) -> list[str]:
        """What the choice has said."""
        said = self._open.get(choice)
        if said is None:
            if choice >= MAX_CHOICES:
                raise over_limit("choices", MAX_CHOICES)
            said = self._open[choice] = []
        return said

    def _emit_text(self, text: Any, choice: int, events: list[Event]) -> None:
        self._known(choice)
        if text:
            if not isinstance(text, str):
                raise TypeError(f"{text!r} is no text")
            self._open[choice].append(text)
            self._finished.discard(choice)  # there is more, so it had not ended
            events.append(TextDelta(text, choice))

    def _finish(self, choice: int, reason: str, events: list[Event]) -> None:
        self._known(choice)
        if choice not in self._finished and not self._finish_failure(reason):
            self._finished.add(choice)
            events.append(Finish(reason, choice))


#: Without one of these an entry is no error: what `parse_error_object` looks for.
_ERRORS = frozenset({"detail", "error", "error_message", "error_msg", "message"})

_READERS: dict[str, Callable[[HuggingFaceDecoder, Mapping[str, Any], int, list[Event]], None]] = {
    "token": HuggingFaceDecoder._token,
    "generated_text": HuggingFaceDecoder._read_full_text,
    "outputs": HuggingFaceDecoder._outputs,
    "generation": HuggingFaceDecoder._generation,
}


def _usage(details: Mapping[str, Any]) -> Usage:
    asked, said = (read_count(details.get(name)) or 0 for name in ("input_length", "generated_tokens"))
    return Usage(asked, said, asked + said)


def _failure(entry: Mapping[str, Any], data: bytes) -> StreamFailure | None:
    words = parse_error_object(entry)
    return _reported_failure(words, data) if words else None


def _reported_failure(words: ErrorBody, data: bytes) -> StreamFailure:
    return build_stream_failure(words, quote_payload(data, 2000), retryable=frozenset({424}))


#: Of a question, what has no place in `build_parameters`.
_NOT_PARAMETERS = frozenset(
    {"inputs", "messages", "model", "n", "parallel_tool_calls", "prompt", "stream", "stream_options", "tool_choice"}
    | {"tools", "user", "response_format", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop"}
    | {"stop_sequences"}
)


def build_parameters(params: Mapping[str, Any], *, stop: str) -> dict[str, Any]:
    """OpenAI's options as `build_parameters`. What has no counterpart there is refused, what is unknown is passed on.

    Args:
        params: In the OpenAI shape.
        stop: What the stop sequences are called.
    """
    params = flatten_parameters(params)
    if params.get("tools"):
        raise _unsupported_error("tools")
    if (params.get("n") or 1) > 1:
        raise _unsupported_error("more than one choice (n)")
    asked = {name: value for name, value in params.items() if value is not None and name not in _NOT_PARAMETERS}
    if (least := asked.pop("min_tokens", None)) is not None:
        asked["min_new_tokens"] = least
    room = params.get("max_completion_tokens") or params.get("max_tokens")
    if room is not None:
        asked["max_new_tokens"] = room
    if (temperature := params.get("temperature")) is not None:
        asked.setdefault("do_sample", temperature > 0)  # both sample only when told; TGI refuses a temperature of 0
        asked |= {"temperature": temperature} if temperature else {}
    if 0 < (params.get("top_p") or 0) < 1:  # TGI refuses 1, which changes nothing
        asked["top_p"] = params["top_p"]
    if stops := params.get("stop") or params.get("stop_sequences"):
        asked[stop] = [stops] if isinstance(stops, str) else list(stops)
    return asked


def build_prompt(params: Mapping[str, Any]) -> str:
    r"""The text to go on from: `inputs` or `build_prompt` as it is, or else messages without the model's chat template.

    One message is its text. Several are written one after the other, as in

    >>> build_prompt({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})
    'Be brief.\n\nUser: Hi\n\nAssistant:'
    """
    given = params.get("inputs", params.get("prompt"))
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if isinstance(given, str):
        return given
    messages: Sequence[Mapping[str, Any]] = params.get("messages") or ()
    if given is not None or not messages:
        raise InvalidRequest("the question has neither one prompt nor messages", code="InvalidQuestion")
    if len(messages) == 1:
        return _message_text(messages[0])
    said = [f"{_ROLE_PREFIXES.get(str(message.get('role')), '')}{_message_text(message)}" for message in messages]
    return "\n\n".join([*said, "Assistant:"])


_ROLE_PREFIXES = {"user": "User: ", "assistant": "Assistant: ", "tool": "Tool: ", "function": "Tool: "}


def _message_text(message: Mapping[str, Any]) -> str:
    content = filter_assistant_content(message) or ""
    if isinstance(content, str):
        return content
    texts = [part if isinstance(part, str) else part.get("text") for part in content]
    if not all(isinstance(text, str) for text in texts):
        raise _unsupported_error("pictures and other parts that are no text")
    return "".join(texts)


def _unsupported_error(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"this dialect has no place for {what}: use dialect='openai-chat' if the container speaks it",
        code="NotInThisDialect",
    )
