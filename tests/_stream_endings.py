"""All failures of a stream, with the expected error of each. One table for both frameworks."""

from dataclasses import dataclass, replace

from mdstream_core import errors
from mdstream_core.emulator import ERROR_EVENTS, REASONS, TRAILERS, Fault

REQUEST = "Name three rivers."
OUTPUT = "The Nile, the Amazon and the Danube."
#: Text of the first two content events; the first event has the role.
BEGINNING = "The Nile"


@dataclass(frozen=True)
class Ending:
    """A fault, the expected error class, the text received before it, and the error code."""

    fault: Fault
    error: type[errors.MDStreamError]
    text: str = BEGINNING
    code: str | None = None


def _trailer(spelling: str, *, after: int | None = None) -> Ending:
    text = OUTPUT if after is None else BEGINNING
    known = spelling not in {"bare-code", "bare-status", "unknown"}
    kind = errors.StreamFailure if spelling == "unknown" else errors.StreamTimeout
    return Ending(Fault("trailer", spelling, after=after), kind, text, "ModelResponseTimeExceeded" if known else None)


def _reason(reason: str) -> Ending:
    kind = errors.StreamTimeout if REASONS[reason][1] == 408 else errors.StreamFailure
    return Ending(Fault("trailer", after=3, reason=reason), kind, code=reason)


ENDINGS: dict[str, Ending] = {
    **{f"trailer {spelling} after [DONE]": _trailer(spelling) for spelling in TRAILERS},
    **{f"trailer {spelling} before [DONE]": _trailer(spelling, after=3) for spelling in TRAILERS},
    **{f"trailer for {reason}": _reason(reason) for reason in REASONS},
    **{
        f"error event of {server}": Ending(Fault("error_event", server, after=3), errors.StreamFailure)
        for server in ERROR_EVENTS
        if not server.startswith("responses")
    },
    "trailer, unannounced": Ending(Fault("trailer", after=3, announced=False), errors.StreamTimeout),
    "trailer, upper case": Ending(Fault("trailer", after=3, name="STREAMFAILURE"), errors.StreamTimeout),
    "trailer without a value": Ending(Fault("trailer", data=b" "), errors.StreamFailure, OUTPUT),
    "cut": Ending(Fault("cut", after=3), errors.StreamInterrupted),
    "cut in a chunk": Ending(Fault("cut_chunk", after=3), errors.StreamInterrupted),
    "cut in the trailers": Ending(Fault("cut_trailer", after=3), errors.StreamInterrupted),
    "cut after [DONE]": Ending(Fault("cut", after=-1), errors.StreamInterrupted, OUTPUT),
    "reset": Ending(Fault("reset", after=3), errors.StreamInterrupted),
    "no finish reason": Ending(Fault("no_finish", after=3), errors.StreamInterrupted),
    "[DONE] without a finish reason": Ending(Fault("early_done", after=3), errors.StreamInterrupted),
    "broken JSON": Ending(Fault("malformed_json", after=3), errors.MalformedStream),
}

#: Events of `/v1/responses` before the first text, beside the one that a chat has too: `response.created`,
#: `response.in_progress`, the start of a message and that of its part.
RESPONSES_HEAD = 3


def after_responses_head(ending: Ending) -> Ending:
    """Return the same failure of `/v1/responses`, after the same text."""
    after = ending.fault.after
    return (
        ending
        if after is None or after < 1
        else replace(ending, fault=replace(ending.fault, after=after + RESPONSES_HEAD))
    )


#: Failures of OpenAI's Responses API: those of each stream, and its own.
RESPONSES_ENDINGS: dict[str, Ending] = {
    **{
        name: after_responses_head(ending)
        for name, ending in ENDINGS.items()
        if name not in {"error event of choice", "error event of llamacpp-old"}
    },
    **{
        f"error event of {server}": Ending(Fault("error_event", server, after=3 + RESPONSES_HEAD), errors.StreamFailure)
        for server in ERROR_EVENTS
        if server.startswith("responses")
    },
    "response.failed": Ending(Fault("choice_error"), errors.StreamFailure, OUTPUT, "server_error"),
    "response.completed with an error": Ending(Fault("choice_error", "with_stop"), errors.StreamFailure, OUTPUT),
    "an error event in the middle": Ending(
        Fault("choice_error", "later_stop", after=3 + RESPONSES_HEAD), errors.StreamFailure, code="server_error"
    ),
    "response.cancelled": Ending(Fault("finish_reason", "abort"), errors.StreamFailure, OUTPUT),
    "a text that contradicts the deltas": Ending(
        Fault("responses_events", "other_text"), errors.MalformedStream, OUTPUT, "InconsistentMessage"
    ),
    "a status that is not final": Ending(Fault("responses_events", "still_running"), errors.StreamInterrupted, OUTPUT),
}

#: One of each kind, for slow tests.
FEW = {
    name: ENDINGS[name]
    for name in (
        "trailer json after [DONE]",
        "trailer json before [DONE]",
        "error event of vllm",
        "cut",
        "no finish reason",
        "broken JSON",
    )
}

#: Streams that fail before any output.
NOTHING: dict[str, Ending] = {
    "empty": Ending(Fault("empty"), errors.StreamInterrupted, "", "EmptyStream"),
    "a page": Ending(Fault("html"), errors.MalformedStream, ""),
    "closed before a response": Ending(Fault("drop"), errors.ConnectionFailed, ""),
    "reset before a response": Ending(Fault("drop_reset"), errors.ConnectionFailed, ""),
    "trailer before anything": Ending(Fault("trailer", after=0), errors.StreamTimeout, "", "ModelResponseTimeExceeded"),
}

#: Unusual but complete streams.
HEALTHY: dict[str, Fault] = {
    **{
        kind: Fault(kind)
        for kind in ("crlf", "cr", "mixed", "bom", "unterminated", "joined", "no_done", "usage_missing")
    },
    **{
        kind: Fault(kind)
        for kind in ("content_length_too", "fixed_length", "until_eof", "encoded", "interim", "json_body")
    },
    **{f"comments of {server}": Fault("keepalive_comments", server) for server in ("vllm", "tgi", "llamacpp")},
    **{f"{size} bytes a write": Fault("bytewise", size=size) for size in (1, 7)},
}
