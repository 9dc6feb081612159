"""The containers' own format, `inputs` and `parameters`, before they learnt OpenAI's: TGI, LMI, JumpStart.

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
from mdstream_core.dialects._choice import stream_failure
from mdstream_core.dialects._finish_reasons import FAILED, is_known, read_finish_reason
from mdstream_core.dialects._foreign_parts import filter_assistant_content
from mdstream_core.dialects._limits import MAX_CHOICES, over_limit, read_count
from mdstream_core.dialects._native_names import flatten_parameters
from mdstream_core.dialects._spoken import misfit
from mdstream_core.dialects._surrogates import SurrogateJoiner
from mdstream_core.errors import (
    SHAPE_ERRORS,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    Words,
    quote_payload,
    unexpected_shape,
    words_of,
)
from mdstream_core.events import Event, Finish, TextDelta, Usage


class NativeDecoder:
    """Reads one answer, streamed or whole. The log probability that each token has is not handed on.

    Args:
        name: The dialect's name, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: dict[int, list[str]] = {}  # choice: what it has said
        self._wholes: dict[int, str] = {}  # choice: its generated_text
        self._finished: set[int] = set()
        self._unmarked = False
        self._joiner: SurrogateJoiner | None = None
        #: What was wrong with a payload that had events too.
        self.broken: MDStreamError | None = None

    @property
    def over(self) -> bool:
        """Whether every choice that was seen has finished."""
        return bool(self._open) and len(self._finished) == len(self._open) and self.broken is None

    finished = over

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        text = data.strip()
        if event != "error" and (not text or text == b"[DONE]"):
            return []
        try:
            payload = _json.parse(text)
        except _json.UNPARSED:
            payload = self._read_bent(text, event)
        events: list[Event] = []
        try:
            if event == "error":
                self.broken = _failed(words_of(payload) or Words(quote_payload(text)), text)
            else:
                self._read(payload, text, events)
        except MDStreamError as error:
            self.broken = error
        except SHAPE_ERRORS as error:
            self.broken = unexpected_shape(text, error)
        if self._joiner is not None:
            events = self._joiner.join(events)
        if self.broken and not events:
            raise self.broken
        return events

    def held(self) -> list[Event]:
        """What has come and was not told yet: half a character."""
        return self._joiner.flush() if self._joiner else []

    def _read_bent(self, data: bytes, event: str) -> Any:
        """A payload that a fast parser refuses: half a character, NaN, or no JSON at all."""
        try:
            payload = _json.loads_bent(data)
        except ValueError:
            kind, why = (
                (StreamFailure, "the service ended the stream") if event == "error" else (MalformedStream, "no JSON")
            )
            raise kind(f"{why}: {quote_payload(data) or 'no words'}", raw=quote_payload(data)) from None
        self._joiner = self._joiner or SurrogateJoiner()
        return payload

    def end(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole. Where a format has no mark of the end, the end of the body is it."""
        if self.broken:
            raise self.broken
        if not self._open:
            raise StreamInterrupted("the stream ended without an answer: not one token was in it", code="EmptyStream")
        events: list[Event] = []
        if self._unmarked:
            for choice in self._open.keys() - self._finished:
                self._finish(choice, "stop", events)
        if not self.over:
            raise StreamInterrupted("the stream ended before generated_text or a finish reason")
        return [*self.held(), *events]

    def _read(self, payload: Any, data: bytes, events: list[Event]) -> None:
        for choice, entry in enumerate(payload if isinstance(payload, list) else [payload]):
            if isinstance(entry, dict):
                if not _ERRORS.isdisjoint(entry) and (failure := _failure(entry, data)):
                    self.broken = failure
                    return
                if "token" in entry:  # the first of the readers: what is streamed
                    self._token(entry, choice, events)
                    continue
                if read := next((read for key, read in _READERS.items() if key in entry), None):
                    read(self, entry, choice, events)
                    continue
            self.broken = misfit(self._name, payload, quote_payload(data))
            return

    def _token(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        token = entry["token"]
        token = {"text": token} if isinstance(token, str) else token
        reason = read_finish_reason(details.get("finish_reason")) if (details := entry.get("details")) else ""
        if problem := token.get("error_msg"):
            self.broken = StreamFailure(f"the model server gave up: {_json.to_text(problem)}", code=reason or "error")
            return
        if reason and self._gave_up(reason):
            return
        self._known(choice)
        if not (token.get("special") or token.get("special_token")):
            self._say(token.get("text"), choice, events)
        if entry.get("generated_text") is not None or is_known(reason):
            self._whole(entry, choice, events)

    def _whole(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        """The whole text: what was not streamed of it is new. A text that was nowhere before ends with the body."""
        details = entry.get("details") or {}
        streamed = "token" in entry or (bool(self._open.get(choice)) and choice not in self._wholes)
        if not self._say_rest(entry.get("generated_text"), choice, events):
            self.broken = MalformedStream(
                "a second generated_text that does not go on with the first: "
                f"{self._wholes[choice][-100:]!r}, then {str(entry['generated_text'])[:100]!r}",
                raw=str(entry["generated_text"])[:2000],
            )
            return
        if "generated_tokens" in details:
            events.append(_usage(details))
        reason = read_finish_reason(details.get("finish_reason"))
        if reason or streamed:
            self._finish(choice, reason or "stop", events)
        else:
            self._unmarked = True

    def _say_rest(self, text: Any, choice: int, events: list[Event]) -> bool:
        """Say what is new in a whole text; whether it fits the whole text before it, if there was one.

        The tokens are what counts: a whole text may lack a stop sequence at its end or have the prompt before it.
        """
        said = self._known(choice)
        if not text:
            return True
        before = self._wholes.get(choice)
        known = before if before is not None else _json.mend("".join(said))
        if not text.startswith(known):
            known, text = known.lstrip(), text.lstrip()  # tokens begin with a space that the whole may not have
        if text.startswith(known):
            self._say(text[len(known) :], choice, events)
        elif before is not None:
            return False
        self._wholes[choice] = text
        return True

    def _gave_up(self, reason: Any) -> bool:
        if str(reason).lower() not in FAILED:
            return False
        self.broken = StreamFailure(f"the model server gave up: finish_reason is {reason!r}", code=str(reason))
        return True

    def _outputs(self, entry: Mapping[str, Any], _: int, events: list[Event]) -> None:
        outputs = entry["outputs"]
        self._unmarked = True
        for choice, text in enumerate([outputs] if isinstance(outputs, str) else outputs):
            self._say(text, choice, events)

    def _generation(self, entry: Mapping[str, Any], choice: int, events: list[Event]) -> None:
        said = entry["generation"]
        self._say(said if isinstance(said, str) else said["content"], choice, events)
        if reason := read_finish_reason(entry.get("finish_reason")):
            self._finish(choice, reason, events)
        else:
            self._unmarked = True

    def _known(self, choice: int) -> list[str]:
        """What the choice has said."""
        said = self._open.get(choice)
        if said is None:
            if choice >= MAX_CHOICES:
                raise over_limit("choices", MAX_CHOICES)
            said = self._open[choice] = []
        return said

    def _say(self, text: Any, choice: int, events: list[Event]) -> None:
        self._known(choice)
        if text:
            if not isinstance(text, str):
                raise TypeError(f"{text!r} is no text")
            self._open[choice].append(text)
            self._finished.discard(choice)  # there is more, so it had not ended
            events.append(TextDelta(text, choice))

    def _finish(self, choice: int, reason: str, events: list[Event]) -> None:
        self._known(choice)
        if choice not in self._finished and not self._gave_up(reason):
            self._finished.add(choice)
            events.append(Finish(reason, choice))


#: Without one of these an entry is no error: what `words_of` looks for.
_ERRORS = frozenset({"detail", "error", "error_message", "error_msg", "message"})

_READERS: dict[str, Callable[[NativeDecoder, Mapping[str, Any], int, list[Event]], None]] = {
    "token": NativeDecoder._token,
    "generated_text": NativeDecoder._whole,
    "outputs": NativeDecoder._outputs,
    "generation": NativeDecoder._generation,
}


def _usage(details: Mapping[str, Any]) -> Usage:
    asked, said = (read_count(details.get(name)) or 0 for name in ("input_length", "generated_tokens"))
    return Usage(asked, said, asked + said)


def _failure(entry: Mapping[str, Any], data: bytes) -> StreamFailure | None:
    words = words_of(entry)
    return _failed(words, data) if words else None


def _failed(words: Words, data: bytes) -> StreamFailure:
    return stream_failure(words, quote_payload(data, 2000), retryable=frozenset({424}))


#: Of a question, what has no place in `parameters`.
_NOT_PARAMETERS = frozenset(
    {"inputs", "messages", "model", "n", "parallel_tool_calls", "prompt", "stream", "stream_options", "tool_choice"}
    | {"tools", "user", "response_format", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop"}
    | {"stop_sequences"}
)


def parameters(question: Mapping[str, Any], *, stop: str) -> dict[str, Any]:
    """OpenAI's options as `parameters`. What has no counterpart there is refused, what is unknown is passed on.

    Args:
        question: In the OpenAI shape.
        stop: What the stop sequences are called.
    """
    question = flatten_parameters(question)
    if question.get("tools"):
        raise _impossible("tools")
    if (question.get("n") or 1) > 1:
        raise _impossible("more than one choice (n)")
    asked = {name: value for name, value in question.items() if value is not None and name not in _NOT_PARAMETERS}
    if (least := asked.pop("min_tokens", None)) is not None:
        asked["min_new_tokens"] = least
    room = question.get("max_completion_tokens") or question.get("max_tokens")
    if room is not None:
        asked["max_new_tokens"] = room
    if (temperature := question.get("temperature")) is not None:
        asked.setdefault("do_sample", temperature > 0)  # both sample only when told; TGI refuses a temperature of 0
        asked |= {"temperature": temperature} if temperature else {}
    if 0 < (question.get("top_p") or 0) < 1:  # TGI refuses 1, which changes nothing
        asked["top_p"] = question["top_p"]
    if stops := question.get("stop") or question.get("stop_sequences"):
        asked[stop] = [stops] if isinstance(stops, str) else list(stops)
    return asked


def prompt(question: Mapping[str, Any]) -> str:
    r"""The text to go on from: `inputs` or `prompt` as it is, or else messages without the model's chat template.

    One message is its text. Several are written one after the other, as in

    >>> prompt({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})
    'Be brief.\n\nUser: Hi\n\nAssistant:'
    """
    given = question.get("inputs", question.get("prompt"))
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if isinstance(given, str):
        return given
    messages: Sequence[Mapping[str, Any]] = question.get("messages") or ()
    if given is not None or not messages:
        raise InvalidRequest("the question has neither one prompt nor messages", code="InvalidQuestion")
    if len(messages) == 1:
        return _said(messages[0])
    said = [f"{_WHO.get(str(message.get('role')), '')}{_said(message)}" for message in messages]
    return "\n\n".join([*said, "Assistant:"])


_WHO = {"user": "User: ", "assistant": "Assistant: ", "tool": "Tool: ", "function": "Tool: "}


def _said(message: Mapping[str, Any]) -> str:
    content = filter_assistant_content(message) or ""
    if isinstance(content, str):
        return content
    texts = [part if isinstance(part, str) else part.get("text") for part in content]
    if not all(isinstance(text, str) for text in texts):
        raise _impossible("pictures and other parts that are no text")
    return "".join(texts)


def _impossible(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"this dialect has no place for {what}: use dialect='openai-chat' if the container speaks it",
        code="NotInThisDialect",
    )
