"""Encoder of SageMaker's event stream: payload parts, exceptions, errors."""

from mdstream_core import _json
from mdstream_core.wire.eventstream import encode

EVENT_STREAM = "application/vnd.amazon.eventstream"

#: Spelling of an exception frame to its type and payload.
EXCEPTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "ModelInvocationTimeExceeded": (
        "ModelStreamError",
        {
            "Message": "The model failed to finish sending the response within the timeout period.",
            "ErrorCode": "ModelInvocationTimeExceeded",
        },
    ),
    "StreamBroken": (
        "ModelStreamError",
        {"Message": "The TCP connection between the client and the model was reset.", "ErrorCode": "StreamBroken"},
    ),
    "InternalStreamFailure": (
        "InternalStreamFailure",
        {"Message": "The stream processing failed because of an unknown error."},
    ),
}


class EncodedFrame(bytes):
    """Bytes that are framed already, or deliberately are no frame."""

    __slots__ = ()


def encode_part(data: bytes) -> bytes:
    """Encode a chunk of the container's output as a `PayloadPart` frame; an `EncodedFrame` is returned unchanged."""
    if isinstance(data, EncodedFrame) or not data:
        return data
    names = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
    return encode(names, data)


def encode_exception(spelling: str) -> EncodedFrame:
    """Encode an exception of `EXCEPTIONS`, or the message type `error`, which is no event."""
    if spelling == "error":
        names = {":message-type": "error", ":error-code": "InternalError", ":error-message": "An internal error"}
        return EncodedFrame(encode(names))
    kind, payload = EXCEPTIONS[spelling]
    names = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    return EncodedFrame(encode(names, _json.dumps(payload)))
