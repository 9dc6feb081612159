"""The wire formats of the services: the same tokens, each in the format of its service.

The path has the name of the format after mode and count: `/burst/2000/sagemaker-sse/…`. Frames and messages are encoded
by the emulator's encoders.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.source import token
from mdstream_core.wire.eventstream import encode
from mdstream_core.wire.websocket import NORMAL, TEXT, close_data, encode_frame

_EVENT_STREAM = "application/vnd.amazon.eventstream"
_PART = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3

Json = dict[str, Any]


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
    """Return the chunk with the `i`-th piece of a tool call's arguments."""
    name = {"id": "call_1", "type": "function"} if i == 0 else {}
    output = {"name": "note", "arguments": '{"text": "'} if i == 0 else {"arguments": word(i)}
    return _openai(i) | {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **name, "function": output}]}}]}


def word(i: int) -> str:
    """Return the `i`-th piece of the arguments, from the second on."""
    return f"{i % 10_000:4} "


def _generic(i: int) -> Json:
    content = [{"type": "TEXT", "text": token(i)}]
    return {"index": 0, "message": {"role": "ASSISTANT", "content": content}, "pad": "aaaaaaaaaaaaaaaa"}


def _cohere(i: int) -> Json:
    return {"apiFormat": "COHERE", "text": token(i), "pad": "aaaaaaaaaaaaaaaa"}


def _tgi(i: int) -> Json:
    output = {"id": i, "text": token(i), "logprob": -0.25, "special": False}
    return {"index": i, "token": output, "generated_text": None, "details": None}


def _json(payload: Json) -> bytes:
    return json.dumps(payload).encode()


_CLOSED = [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"}'}}]}}]
_CALLED = [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]
_FINISH = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_OPENAI_END = (_json(_openai(0) | {"choices": _FINISH}), _json(_openai(0) | {"choices": [], "usage": _USAGE}))
_CALL_END = (_json(_openai(0) | {"choices": _CLOSED}), _json(_openai(0) | {"choices": _CALLED}), _OPENAI_END[1])
_DONE = b"[DONE]"
_DETAILS = {"finish_reason": "eos_token", "generated_tokens": 2, "input_length": 1}
_TGI_END = _json(_tgi(0) | {"token": {"text": "", "special": True}, "generated_text": "…", "details": _DETAILS})


def _openai_document(text: str) -> Json:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _openai(0) | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _generic_document(text: str) -> Json:
    message = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": text}]}
    usage = {"promptTokens": 1, "completionTokens": 2, "totalTokens": 3}
    choice = {"index": 0, "message": message, "finishReason": "stop"}
    response = {"apiFormat": "GENERIC", "timeCreated": "2026-01-01T00:00:00Z", "choices": [choice], "usage": usage}
    return {"modelId": "m", "modelVersion": "1", "chatResponse": response}


def event(payload: bytes) -> bytes:
    """Encode a server-sent event."""
    return b"data: %b\n\n" % payload


def _line(payload: bytes) -> bytes:
    return payload + b"\n"


def _part(encode_payload: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda payload: encode(_PART, encode_payload(payload))


def _message(payload: bytes) -> bytes:
    return encode_frame(TEXT, payload)


def chunked(data: bytes) -> bytes:
    """Encode an HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True, slots=True)
class WireFormat:
    """The format of a response.

    Attributes:
        payload: Returns the payload of the `i`-th token.
        end: The payloads after the last token.
        framed: Encodes a payload as a frame.
        content_type: Media type of the response; empty for a WebSocket.
        whole: Returns the response that is not streamed, from its text.
    """

    payload: Callable[[int], Json]
    end: tuple[bytes, ...]
    framed: Callable[[bytes], bytes] = event
    content_type: str = "text/event-stream"
    whole: Callable[[str], Json] = _openai_document

    @property
    def head(self) -> bytes:
        """Status line and headers."""
        fields = f"content-type: {self.content_type}\r\ntransfer-encoding: chunked\r\nopc-request-id: b\r\n"
        return f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode()

    @property
    def last(self) -> bytes:
        """The last chunk of the body, or the close frame of a WebSocket."""
        return b"0\r\n\r\n" if self.content_type else encode_frame(8, close_data(NORMAL))

    def pieces(self, count: int) -> list[bytes]:
        """Return the HTTP chunks or WebSocket messages of a response, one token in each."""
        payloads = [*(_json(self.payload(i)) for i in range(count)), *self.end]
        pieces = map(self.framed, payloads)
        return [chunked(piece) for piece in pieces] if self.content_type else list(pieces)

    def document(self, count: int) -> bytes:
        """Encode a response that is not streamed, with the texts of so many chunks."""
        body = _json(self.whole("".join(map(token, range(count)))))
        fields = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nopc-request-id: b\r\n"
        return f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + body


OPENAI = WireFormat(_openai, (*_OPENAI_END, _DONE))
GENERIC = WireFormat(_generic, (_json({"finishReason": "stop"}),), whole=_generic_document)

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


def choose_wire_format(path: str) -> WireFormat:
    """Return the format that a path names; without a name, the one of the path's operation."""
    named = [WIRES[part] for part in path.split("/")[3:4] if part in WIRES]
    if named:
        return named[0]
    operation = path.rpartition("/")[2]
    return {"chat": GENERIC, "invocations-response-stream": WIRES["sagemaker-sse"]}.get(operation, OPENAI)


def handshake(fields: dict[str, str]) -> bytes:
    """Encode the response to a WebSocket handshake."""
    digest = hashlib.sha1(f"{fields['sec-websocket-key']}{_GUID}".encode()).digest()
    accept = f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
    return f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}".encode()
