"""An HTTP server on loopback whose responses are functions of the request's JSON body."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from _raw_server import Peer, RawServer, serving

Json = dict[str, Any]

#: Function from the body of a request to the status and JSON body of its response, or to the chunks of a stream.
Response = Callable[[Json], tuple[int, Json] | list[Json]]


@dataclass
class ScriptedServer:
    """The server, and the bodies of the requests it received."""

    url: str
    bodies: list[Json] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """As the URL of an OCI model deployment."""
        return f"{self.url}/ocid1.datasciencemodeldeployment.oc1.iad.x"


@contextmanager
def scripted(respond: Response) -> Iterator[ScriptedServer]:
    """Run a server that responds with `respond`."""
    bodies: list[Json] = []

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            body = json.loads(request.partition(b"\r\n\r\n")[2])
            bodies.append(body)
            peer.send(_response(respond(body)))

    with serving(script) as server:
        yield ScriptedServer(server.url, bodies)


def _response(response: tuple[int, Json] | list[Json]) -> bytes:
    if isinstance(response, tuple):
        status, document = response
        return _message(status, "application/json", json.dumps(document).encode())
    events = [*(json.dumps(one) for one in response), "[DONE]"]
    return _message(200, "text/event-stream", "".join(f"data: {one}\n\n" for one in events).encode())


def _message(status: int, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chat_response(message: Json, *, stream: bool) -> tuple[int, Json] | list[Json]:
    """Build a response with a message in the OpenAI shape: complete, or as one chunk and a final one."""
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    named = {"id": "c1", "created": 1, "model": "m"}
    if not stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": reason}
        return 200, {**named, "object": "chat.completion", "choices": [choice]}
    calls = [{"index": n, **call} for n, call in enumerate(message.get("tool_calls") or ())]
    delta = {**message, **({"tool_calls": calls} if calls else {})}
    choices = ({"delta": delta, "finish_reason": None}, {"delta": {}, "finish_reason": reason})
    return [{**named, "object": "chat.completion.chunk", "choices": [{"index": 0, **one}]} for one in choices]
