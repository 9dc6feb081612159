"""What the services write, byte for byte: the same tokens, each in the envelope of its service.

A wire's name stands in the path behind mode and count: `/flood/2000/sagemaker-sse/…`. Frames and messages are written
by the emulator's own encoders.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mdstream_core.wire.eventstream import encode
from mdstream_core.wire.websocket import NORMAL, TEXT, close_data, encode_frame

_EVENT_STREAM = "application/vnd.amazon.eventstream"
_PART = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3

Json = dict[str, Any]


def token(i: int) -> str:
    """The text of the `i`-th piece."""
    return f"tok{i} "


def _openai(i: int) -> Json:
    choice = {"index": 0, "delta": {"content": token(i)}, "logprobs": None, "finish_reason": None, "token_ids": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "odsc-llm",
        "choices": [choice],
    }


def _arguments(i: int) -> Json:
    """The `i`-th piece of the arguments of one tool call."""
    name = {"id": "call_1", "type": "function"} if i == 0 else {}
    output = {"name": "note", "arguments": '{"text": "'} if i == 0 else {"arguments": word(i)}
    return _openai(i) | {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **name, "function": output}]}}]}


def word(i: int) -> str:
    """What the `i`-th piece of the arguments says, but for the first."""
    return f"{i % 10_000:4} "


def _generic(i: int) -> Json:
    content = [{"type": "TEXT", "text": token(i)}]
    return {"index": 0, "message": {"role": "ASSISTANT", "content": content}, "pad": "aaaaaaaaaaaaaaaa"}


def _cohere(i: int) -> Json:
    return {"apiFormat": "COHERE", "text": token(i), "pad": "aaaaaaaaaaaaaaaa"}


def _tgi(i: int) -> Json:
    output = {"id": i, "text": token(i), "logprob": -0.25, "special": False}
    return {"index": i, "token": output, "generated_text": None, "details": None}


def _json(wire: Json) -> bytes:
    return json.dumps(wire).encode()


_CLOSED = [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"}'}}]}}]
_CALLED = [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]
_FINISH = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_OPENAI_END = (_json(_openai(0) | {"choices": _FINISH}), _json(_openai(0) | {"choices": [], "usage": _USAGE}))
_CALL_END = (_json(_openai(0) | {"choices": _CLOSED}), _json(_openai(0) | {"choices": _CALLED}), _OPENAI_END[1])
_DONE = b"[DONE]"
_DETAILS = {"finish_reason": "eos_token", "generated_tokens": 2, "input_length": 1}
_TGI_END = _json(_tgi(0) | {"token": {"text": "", "special": True}, "generated_text": "…", "details": _DETAILS})


def event(payload: bytes) -> bytes:
    """A server-sent event."""
    return b"data: %b\n\n" % payload


def _line(payload: bytes) -> bytes:
    return payload + b"\n"


def _part(written: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda payload: encode(_PART, written(payload))


def _message(payload: bytes) -> bytes:
    return encode_frame(TEXT, payload)


def chunked(data: bytes) -> bytes:
    """A piece of a body as an HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True, slots=True)
class WireFormat:
    """How an answer is written.

    Attributes:
        payload: What carries the `i`-th token.
        end: The payloads behind the last token.
        framed: What is made of a payload.
        content_type: Of the answer; empty for a WebSocket.
    """

    payload: Callable[[int], Json]
    end: tuple[bytes, ...]
    framed: Callable[[bytes], bytes] = event
    content_type: str = "text/event-stream"

    @property
    def head(self) -> bytes:
        """Status line and header fields."""
        fields = f"content-type: {self.content_type}\r\ntransfer-encoding: chunked\r\nopc-request-id: b\r\n"
        return f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode()

    @property
    def last(self) -> bytes:
        """What ends the body, or the conversation."""
        return b"0\r\n\r\n" if self.content_type else encode_frame(8, close_data(NORMAL))

    def pieces(self, count: int) -> list[bytes]:
        """The HTTP chunks of an answer, or its messages; one token in each."""
        payloads = [*(_json(self.payload(i)) for i in range(count)), *self.end]
        pieces = map(self.framed, payloads)
        return [chunked(piece) for piece in pieces] if self.content_type else list(pieces)


OPENAI = WireFormat(_openai, (*_OPENAI_END, _DONE))
GENERIC = WireFormat(_generic, (_json({"finishReason": "stop"}),))

WIRES: dict[str, WireFormat] = {
    "oci-generic": GENERIC,
    "oci-cohere": WireFormat(_cohere, (_json({"apiFormat": "COHERE", "text": "", "finishReason": "COMPLETE"}),)),
    "sagemaker-sse": WireFormat(_openai, OPENAI.end, _part(event), _EVENT_STREAM),
    "sagemaker-lines": WireFormat(_openai, _OPENAI_END, _part(_line), _EVENT_STREAM),
    "sagemaker-tgi": WireFormat(_tgi, (_TGI_END,), _part(event), _EVENT_STREAM),
    "modelarts-sse": OPENAI,
    "modelarts-socket": WireFormat(_openai, OPENAI.end, _message, ""),
    "tool-call": WireFormat(_arguments, (*_CALL_END, _DONE)),
}


def wire(path: str) -> WireFormat:
    """How the answer to a request is written: as its path names it, or as the path's end shows."""
    named = [WIRES[part] for part in path.split("/")[3:4] if part in WIRES]
    return named[0] if named else GENERIC if path.endswith("/actions/chat") else OPENAI


def handshake(fields: dict[str, str]) -> bytes:
    """The answer to a client that wants a WebSocket."""
    digest = hashlib.sha1(f"{fields['sec-websocket-key']}{_GUID}".encode()).digest()
    agreed = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
    return f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{agreed}".encode()
