"""Direct requests: the same bytes and results as through httpx, and httpx wherever somebody observes or configures it."""

import asyncio
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import httpx
import pytest
from _client_requests import WHOLE, Send, both, call
from _raw_server import Peer, RawServer, respond_with, serving

from mdstream_core import AsyncClient, Client
from mdstream_core.errors import ConnectionFailed
from mdstream_core.http import Request
from mdstream_core.transport import async_http_client, http_client
from mdstream_core.transport._async import AsyncRequestSender
from mdstream_core.transport._clients import create_owned_client
from mdstream_core.transport._direct import DirectResponse, Fields
from mdstream_core.transport._sync import RequestSender

_EXTENSIONS = {"timeout": {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0, "deadline": None}}

#: Sends one request with both kinds of senders, and returns the responses' heads.
Exchange = Callable[[Request], tuple[Any, Any]]


def send(request: Request) -> tuple[Any, Any]:
    """Through httpx, and directly."""
    http = http_client(trust_env=False)
    senders = RequestSender(http), RequestSender(*create_owned_client(trust_env=False))
    responses = []
    for sender in senders:
        response = sender.send(request, dict(_EXTENSIONS), {})
        b"".join(response.stream)
        response.close()
        responses.append(response)
        sender.close()
    return responses[0], responses[1]


def asend(request: Request) -> tuple[Any, Any]:
    """The same with tasks."""

    async def main() -> list[Any]:
        http = async_http_client(trust_env=False)
        senders = AsyncRequestSender(http), AsyncRequestSender(*create_owned_client(is_async=True, trust_env=False))
        responses = []
        for sender in senders:
            response = await sender.send(request, dict(_EXTENSIONS), {})
            assert b"" != b"".join([data async for data in response.stream])
            await response.aclose()
            responses.append(response)
            await sender.aclose()
        return responses

    one, other = asyncio.run(main())
    return one, other


exchanges = pytest.mark.parametrize("exchange", [send, asend], ids=["sync", "async"])

#: Method, path, headers and body of requests.
REQUESTS = {
    "a chat": ("POST", "/ocid1.x/predict", {"content-type": "application/json"}, b"{}"),
    "a query": ("POST", "/p?api-version=1&empty=", {"accept": "text/event-stream"}, b"{}"),
    "the query's mark alone": ("POST", "/p?", {}, b"{}"),
    "escapes": ("POST", "/a%20b/%C3%A9/~c|d", {}, b"{}"),
    "no path": ("POST", "", {}, b"{}"),
    "client's headers replaced": ("POST", "/", {"User-Agent": "mine", "accept-encoding": "identity"}, b"{}"),
    "host": ("POST", "/", {"Host": "other.example"}, b"{}"),
    "length": ("POST", "/", {"content-length": "2"}, b"{}"),
    "length, capitals": ("POST", "/", {"Content-Length": "2"}, b"{}"),
    "two cases of one name": ("POST", "/", {"x-a": "1", "X-A": "2"}, b"{}"),
    "no body": ("POST", "/", {}, b""),
    "get": ("GET", "/v1/models", {"accept": "*/*"}, b""),
    "delete": ("DELETE", "/v1/models", {}, b""),
}


@exchanges
@pytest.mark.parametrize(("method", "path", "headers", "content"), REQUESTS.values(), ids=REQUESTS)
def test_the_same_bytes_are_sent(
    exchange: Exchange, method: str, path: str, headers: dict[str, str], content: bytes
) -> None:
    """Byte for byte as httpx sends them."""

    def script(server: RawServer, peer: Peer) -> None:
        server.requests.append(peer.request())
        peer.send(WHOLE)

    with serving(script) as server:
        _, direct = exchange(Request(method, f"{server.url}{path}", headers, content))

        assert isinstance(direct, DirectResponse)
        assert server.requests[0] == server.requests[1]
        assert 2 == len(server.requests)


@exchanges
@pytest.mark.parametrize(
    "url", ["http://user:password@127.0.0.1:{port}/", "http://127.0.0.1:{port}/#part"], ids=["user", "fragment"]
)
def test_other_urls_go_through_httpx(exchange: Exchange, url: str) -> None:
    """The user of a URL is sent as `Authorization`, as before."""
    with serving(respond_with(WHOLE)) as server:
        _, response = exchange(Request("POST", url.format(port=server.port), {}, b"{}"))

        assert isinstance(response, httpx.Response)


FIELDS = {
    "ascii": [(b"Content-Type", b"a"), (b"x", b"1"), (b"X", b"2"), (b"Content-Encoding", b"gzip")],
    "utf-8": [(b"x", "é".encode())],
    "latin-1": [(b"x", b"\xe9"), (b"y", "é".encode())],
    "split across fields": [(b"x", b"\xc3"), (b"y", b"\xa9")],
    "none": [],
}


@pytest.mark.parametrize("raw", FIELDS.values(), ids=FIELDS)
def test_header_fields_are_read_like_httpx(raw: list[tuple[bytes, bytes]]) -> None:
    """The encoding depends on all of them."""
    fields, expected = Fields(raw), httpx.Headers(raw)

    assert expected.multi_items() == fields.multi_items()
    for name in ("x", "content-encoding", "missing"):
        assert expected.get(name) == fields.get(name)
        assert (name in expected) is (name in fields)


def test_a_response_has_its_request() -> None:
    """The headers that were sent, for the codings that the request has accepted."""
    with serving(respond_with(WHOLE)) as server:
        _, response = send(Request("POST", f"{server.url}/", {"accept-encoding": "br"}, b"{}"))

    assert "br" == response.request.headers["accept-encoding"]


@both
def test_the_log_of_httpx_has_every_request(send_request: Send, caplog: pytest.LogCaptureFixture) -> None:
    """If it is enabled."""
    caplog.set_level(logging.INFO, "httpx")
    with serving(respond_with(WHOLE)) as server:
        send_request(server)

    assert 1 == len([record for record in caplog.records if record.name == "httpx"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_replaced_method_of_httpx_is_called(monkeypatch: pytest.MonkeyPatch, wrapped: bool) -> None:
    """As tracing packages replace it, also after the first request; `wraps` copies its name and module."""
    calls = []
    original = httpx.Client.send

    def send(self: httpx.Client, *args: Any, **kwargs: Any) -> httpx.Response:
        calls.append(args)
        return original(self, *args, **kwargs)

    with serving(respond_with(WHOLE)) as server:
        client = Client(trust_env=False)
        client.complete(call(server))
        monkeypatch.setattr(httpx.Client, "send", wraps(original)(send) if wrapped else send)
        client.complete(call(server))
        monkeypatch.undo()
        client.complete(call(server))
        client.close()

    assert 1 == len(calls)


def test_a_users_client_keeps_its_hooks_cookies_headers_and_base_url() -> None:
    """They apply to each of its requests, and changes of the client to later ones."""
    seen: list[str] = []

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(WHOLE)

    http = http_client(trust_env=False, cookies={"a": "1"}, headers={"x-mine": "1"}, auth=("user", "password"))
    http.event_hooks["request"].append(lambda request: seen.append(request.url.path))
    with serving(script) as server, http:
        client = Client(http=http)
        client.complete(call(server))
        http.headers["x-mine"] = "2"
        client.complete(call(server))

        assert 2 == len(seen)
        for request, value in zip(server.requests, (b"1", b"2"), strict=True):
            assert b"\r\nx-mine: " + value + b"\r\n" in request
            assert b"\r\nCookie: a=1\r\n" in request
            assert b"\r\nAuthorization: Basic " in request


def test_an_auth_flow_goes_through_httpx() -> None:
    """An `httpx.Auth` in place of a signer."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(WHOLE)

    with serving(script) as server:
        client = Client(httpx.BasicAuth("user", "password"), trust_env=False)
        for _ in range(2):
            client.complete(call(server))
        client.close()

        assert [True, True] == [b"\r\nAuthorization: Basic " in request for request in server.requests]


def test_proxies_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the first request of a URL and for later ones."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request.split(b" ", 2)[1])
            peer.send(WHOLE)

    with serving(script) as proxy, serving(respond_with(WHOLE)) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        client = Client()
        for _ in range(3):
            client.complete(call(server))
        client.close()

        async def main() -> None:
            tasks = AsyncClient()
            for _ in range(3):
                await tasks.complete(call(server))
            await tasks.aclose()

        asyncio.run(main())
        assert 6 * [f"{server.url}/ocid1.x/predictWithResponseStream".encode()] == proxy.requests
        assert 0 == server.connections


@both
def test_errors_have_httpx_exceptions_as_their_cause(send_request: Send) -> None:
    """With the request, and without its headers."""
    with serving(respond_with(WHOLE)) as server:
        pass
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{server.port} was not reached") as caught:
        send_request(server)

    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    assert "ocid1.x" in str(caught.value.__cause__.request.url)
