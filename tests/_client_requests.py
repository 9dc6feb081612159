"""Helpers for tests of the clients: calls with both clients, and responses of a server on loopback."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from _raw_server import Peer, RawServer
from _samples import REQUEST

from mdstream_core import AsyncClient, Call, Client, OCIModelDeployment, OpenAIChat, Retry, Timeout
from mdstream_core.auth import Signer
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event
from mdstream_core.http import Request

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nopc-request-id: r\r\n\r\n"


FAILED = b"0\r\nStreamFailure: ErrorCode=RequestTimeout, HttpCode=408, ErrorReason=ServiceTimeout\r\n\r\n"


END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HI = chunk(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')


STOP = chunk(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')


DONE = chunk(b"data: [DONE]\n\n")


PING = chunk(b": ping\n\n")


WHOLE = HEAD + HI + STOP + DONE + END


def error_response(status: bytes, body: bytes = b"{}", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, fields, len(body), body)


class ShortDrainDeployment(OCIModelDeployment):
    """Deployment with a short `drain_timeout`."""

    drain_timeout: ClassVar[float] = 0.3


def call(
    server: RawServer, *, stream: bool = True, platform: type[OCIModelDeployment] = OCIModelDeployment, **options: Any
) -> Call:
    options = {"retry": Retry(0), "timeout": Timeout(read=5, total=10), **options}
    return Call(platform(f"{server.url}/ocid1.x"), OpenAIChat(), REQUEST, stream=stream, **options)


def sync(server: RawServer, auth: Any = None, http: Any = None, **options: Any) -> list[Event]:
    client = Client(auth, http, trust_env=False)
    events: list[Event] = []
    try:
        for event in client.stream(call(server, **options)):
            events.append(event)  # noqa: PERF402  # the events before an error are needed
    except MDStreamError as error:
        error.events = events  # type: ignore[attr-defined]
        raise
    finally:
        client.close()
        if http is not None:
            http.close()
    return events


def asyn(server: RawServer, auth: Any = None, http: Any = None, **options: Any) -> list[Event]:
    async def main() -> list[Event]:
        client = AsyncClient(auth, http, trust_env=False)
        events: list[Event] = []
        try:
            async for event in client.stream(call(server, **options)):
                events.append(event)  # noqa: PERF401
        except MDStreamError as error:
            error.events = events  # type: ignore[attr-defined]
            raise
        finally:
            await client.aclose()
            if http is not None:
                await http.aclose()
        return events

    return asyncio.run(main())


Send = Callable[..., list[Event]]


both = pytest.mark.parametrize("send_request", [sync, asyn])


class CountingSigner(Signer):
    """Signer with a numbered key; each refresh increments the number."""

    def __init__(self, *, expired: bool = False) -> None:
        super().__init__()
        self.key = 1
        self.refreshes = 0
        self._expired = expired

    def sign(self, request: Request) -> Request:
        return Request(
            request.method, request.url, {**request.headers, "authorization": f"key {self.key}"}, request.content
        )

    def can_refresh(self) -> bool:
        return True

    def needs_refresh(self) -> bool:
        return self._expired and self.refreshes == 0

    def fetch_credential(self) -> None:
        time.sleep(0.05)
        self.refreshes += 1
        self.key = 2


def require_second_key(server: RawServer, peer: Peer) -> None:
    """Server script that accepts only the second key."""
    while request := peer.request():
        server.requests.append(request)
        peer.send(WHOLE if b"authorization: key 2" in request.lower() else error_response(b"401 No"))
