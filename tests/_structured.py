"""Responses to requests for structured output, whole and streamed, with every ending; for both frameworks' tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from _raw_server import Peer, RawServer, serving
from pydantic import BaseModel


class City(BaseModel):
    """A city and its country."""

    city: str
    country: str


TEXT = '{"city": "São Paulo", "country": "BR"}'
TRUNCATED = TEXT[:15]


@dataclass(frozen=True)
class Scripted:
    """A response: its text, the arguments of its tool call, its refusal, and its finish reason."""

    text: str = ""
    arguments: str | None = None
    refusal: str = ""
    finish: str = "stop"
    tool: str = "City"

    def message(self) -> dict[str, Any]:
        """Return the whole message."""
        function = {"name": self.tool, "arguments": self.arguments}
        calls = [{"id": "call_1", "type": "function", "function": function}] if self.arguments is not None else None
        fields = {"content": self.text, "refusal": self.refusal, "tool_calls": calls}
        return {"role": "assistant", **{name: value for name, value in fields.items() if value}}

    def deltas(self) -> Iterator[dict[str, Any]]:
        """Yield the message in pieces."""
        yield {"role": "assistant", "content": ""}
        yield from ({"content": self.text[at : at + 5]} for at in range(0, len(self.text), 5))
        yield from ({"refusal": self.refusal[at : at + 5]} for at in range(0, len(self.refusal), 5))
        if self.arguments is not None:
            call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": self.tool, "arguments": ""}}
            yield {"tool_calls": [call]}
            for at in range(0, len(self.arguments), 5):
                yield {"tool_calls": [{"index": 0, "function": {"arguments": self.arguments[at : at + 5]}}]}

    def body(self, request: dict[str, Any]) -> tuple[str, str]:
        """Return the media type and the body for a request."""
        one = self._completion if "prompt" in request else self._chat
        if not request.get("stream"):
            return "application/json", json.dumps({"id": "1", "model": "m", "choices": [one(None)]})
        pieces = [one(delta) for delta in self.deltas()] + [one({}, self.finish)]
        lines = [f"data: {json.dumps({'id': '1', 'model': 'm', 'choices': [piece]})}\n\n" for piece in pieces]
        return "text/event-stream", "".join([*lines, "data: [DONE]\n\n"])

    def _chat(self, delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
        if delta is None:
            return {"index": 0, "message": self.message(), "finish_reason": self.finish}
        return {"index": 0, "delta": delta, "finish_reason": finish}

    def _completion(self, delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
        if delta is None:
            return {"index": 0, "text": self.text, "finish_reason": self.finish}
        return {"index": 0, "text": delta.get("content", ""), "finish_reason": finish}


@contextmanager
def answering(response: Scripted) -> Iterator[RawServer]:
    """Serve this response to each request, as the request demands: chat or completion, whole or streamed."""

    def script(server: RawServer, peer: Peer) -> None:
        while requested := peer.request():
            server.requests.append(requested)
            kind, body = response.body(json.loads(requested.partition(b"\r\n\r\n")[2]))
            data = body.encode()
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind.encode(), len(data)))
            peer.send(data)

    with serving(script) as server:
        yield server


#: Incomplete responses to a request for JSON: the response, a part of the error message, and the text of the partial.
TEXTS: dict[str, tuple[Scripted, str, str]] = {
    "truncated": (Scripted(TRUNCATED, finish="length"), "max_tokens", TRUNCATED),
    "truncated in other words": (Scripted(TRUNCATED, finish="MAX_TOKENS"), "max_tokens", TRUNCATED),
    "whole, but a limit of tokens": (Scripted(TEXT, finish="token_limit"), "max_tokens", TEXT),
    "whole, but the end of the context": (Scripted(TEXT, finish="model_context_window_exceeded"), "cut off", TEXT),
    "truncated before the JSON": (Scripted("Sure, here", finish="length"), "max_tokens", "Sure, here"),
    "truncated before the text": (Scripted(finish="length"), "max_tokens", ""),
    "whole, but stopped by the limit": (Scripted(TEXT, finish="length"), "max_tokens", TEXT),
    "truncated without a reason": (Scripted(TRUNCATED), "", TRUNCATED),
    "filtered": (Scripted(TRUNCATED, finish="content_filter"), "content filter", TRUNCATED),
    "filtered by a guardrail": (Scripted(TRUNCATED, finish="guardrail_intervened"), "content filter", TRUNCATED),
    "refused": (Scripted(refusal="I cannot pay."), "I cannot pay", "I cannot pay."),
    "no JSON": (Scripted("I cannot."), "", "I cannot."),
    "another object": (Scripted('{"city": "Rome"}'), "country", '{"city": "Rome"}'),
}

#: What is no whole response where a tool must be called.
CALLS: dict[str, tuple[Scripted, str, str]] = {
    "no call, truncated": (Scripted("Let me", finish="length"), "max_tokens", "Let me"),
    "nothing, truncated": (Scripted(finish="length"), "max_tokens", ""),
    "a whole call, stopped by the limit": (Scripted(arguments=TEXT, finish="length"), "max_tokens", TEXT),
    "a whole call, a limit of tokens": (Scripted(arguments=TEXT, finish="max_output_tokens"), "max_tokens", TEXT),
    "a whole call, the end of the context": (
        Scripted(arguments=TEXT, finish="context_length_exceeded"),
        "cut off",
        TEXT,
    ),
    "no call": (Scripted("It is Rome."), "did not call the tool 'City'", "It is Rome."),
    "JSON instead of a call": (Scripted(TEXT), "did not call the tool 'City'", TEXT),
    "another tool": (Scripted(arguments=TEXT, tool="Joke", finish="tool_calls"), "Joke", TEXT),
    "refused": (Scripted(refusal="I cannot pay."), "I cannot pay", "I cannot pay."),
    "filtered": (Scripted("Hm", finish="content_filter"), "content filter", "Hm"),
    "no JSON": (Scripted(arguments="{oops}", finish="tool_calls"), "not a JSON object", "{oops}"),
    "a list": (Scripted(arguments="[1]", finish="tool_calls"), "not a JSON object", "[1]"),
    "another object": (Scripted(arguments='{"city": "Rome"}', finish="tool_calls"), "country", '{"city": "Rome"}'),
}

#: A call whose arguments stop in the middle: the stream itself is the error, as without a schema.
TRUNCATED_CALL = Scripted(arguments=TRUNCATED, finish="length")
