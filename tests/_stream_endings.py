"""Failures of streams, and the error that each must raise. One table for both frameworks."""

from dataclasses import dataclass

from mdstream_core import errors
from mdstream_core.emulator import ERROR_EVENTS, REASONS, TRAILERS, Fault

REQUEST = "Name three rivers."
OUTPUT = "The Nile, the Amazon and the Danube."
#: The text of the first two events with content; the event before them has the role.
BEGINNING = "The Nile"


@dataclass(frozen=True)
class Ending:
    """A fault, the class of its error, and the text that was received before it."""

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

#: One of each kind, for the entry points that take long.
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

#: Streams that bring nothing: the error, and no partial.
NOTHING: dict[str, Ending] = {
    "empty": Ending(Fault("empty"), errors.StreamInterrupted, "", "EmptyStream"),
    "a page": Ending(Fault("html"), errors.MalformedStream, ""),
    "closed before an answer": Ending(Fault("drop"), errors.ConnectionFailed, ""),
    "reset before an answer": Ending(Fault("drop_reset"), errors.ConnectionFailed, ""),
    "trailer before anything": Ending(Fault("trailer", after=0), errors.StreamTimeout, "", "ModelResponseTimeExceeded"),
}

#: Odd, but whole: the response is there.
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
