"""Responses over real sockets: threads, asyncio and trio; plain and TLS; httpx and httpx2."""

import asyncio
import gzip
import ssl
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from _raw_server import Peer, RawServer, certificates, respond_with, serving

from mdstream_core.transport import async_http_client, http_client

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FAILED = (b"StreamFailure", b'{"error": "late"}')
LINE = FAILED[0] + b": " + FAILED[1] + b"\r\n"
ZIPPED = gzip.compress(b"hello")

Fetched = tuple[int, bytes, list[tuple[bytes, bytes]]]


def send_request(client: httpx.Client, url: str) -> Fetched:
    with client.stream("POST", url, content=b"?") as response:
        body = b"".join(response.iter_bytes())
        return response.status_code, body, response.extensions["trailers"]


def in_threads(url: str, context: ssl.SSLContext, library: str = "httpx") -> Fetched:
    with http_client(verify=context, library=library, timeout=5) as client:
        return send_request(client, url)


async def among_tasks(url: str, context: ssl.SSLContext, library: str = "httpx") -> Fetched:
    async with (
        async_http_client(verify=context, library=library, timeout=5) as client,
        client.stream("POST", url, content=b"?") as response,
    ):
        body = b"".join([data async for data in response.aiter_bytes()])
        return response.status_code, body, response.extensions["trailers"]


VARIANTS: dict[str, Callable[..., Fetched]] = {
    "sync": in_threads,
    "asyncio": lambda *args: asyncio.run(among_tasks(*args)),
    "trio": lambda *args: trio.run(among_tasks, *args),
}

# name: (the segments, whether the server closes, the expected result)
WHOLE: dict[str, tuple[list[bytes], bool, Fetched]] = {
    "plain": ([CHUNKED, b"5\r\nhello\r\n", b"0\r\n" + LINE + b"\r\n"], False, (200, b"hello", [FAILED])),
    "single segment": ([CHUNKED + b"5\r\nhello\r\n0\r\n" + LINE + b"\r\n"], False, (200, b"hello", [FAILED])),
    "byte by byte": (
        [bytes([byte]) for byte in CHUNKED + b"2\r\nhi\r\n0\r\n" + LINE + b"\r\n"],
        False,
        (200, b"hi", [FAILED]),
    ),
    "late and split trailer": (
        [CHUNKED + b"5\r\nhello\r\n", b"", b"", b"0\r\nStream", b"Failure", b': {"error": "l', b'ate"}\r', b"\n\r\n"],
        False,
        (200, b"hello", [FAILED]),
    ),
    "clean end": ([CHUNKED + b"5\r\nhello\r\n", b"0\r\n\r\n"], False, (200, b"hello", [])),
    "announced, and missing": (
        [OK + b"Trailer: StreamFailure\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
        False,
        (200, b"hello", []),
    ),
    "duplicate fields": (
        [CHUNKED + b"5\r\nhello\r\n0\r\n" + LINE + LINE + b"\r\n"],
        False,
        (200, b"hello", [FAILED, FAILED]),
    ),
    "gzip": (
        [
            OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"%x\r\n%b\r\n" % (len(ZIPPED), ZIPPED),
            b"0\r\n" + LINE + b"\r\n",
        ],
        False,
        (200, b"hello", [FAILED]),
    ),
    "text that imitates a trailer": (
        [CHUNKED + b"17\r\n0\r\nStreamFailure: x\r\n\r\n\r\n", b"0\r\n\r\n"],
        False,
        (200, b"0\r\nStreamFailure: x\r\n\r\n", []),
    ),
    "both lengths": (
        [OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + LINE + b"\r\n"],
        False,
        (200, b"hello", [FAILED]),
    ),
    "fixed length": ([OK + b"Content-Length: 5\r\n\r\nhe", b"llo"], False, (200, b"hello", [])),
    "ended by the connection": ([OK + b"\r\nhel", b"lo"], True, (200, b"hello", [])),
    "interim response": (
        [b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 2\r\n\r\nhi"],
        False,
        (200, b"hi", []),
    ),
    "204": ([b"HTTP/1.1 204 No Content\r\n\r\n"], False, (204, b"", [])),
    "status 429": ([b"HTTP/1.1 429 Too Many\r\nContent-Length: 4\r\n\r\nwait"], False, (429, b"wait", [])),
}

# name: (the segments, how the server closes, the error)
BROKEN: dict[str, tuple[list[bytes], dict[str, bool], str]] = {
    "nothing": ([], {"close": True}, "RemoteProtocolError"),
    "truncated body": ([CHUNKED + b"5\r\nhello\r\n", b"5\r\nwor"], {"close": True}, "RemoteProtocolError"),
    "truncated fixed body": ([OK + b"Content-Length: 5\r\n\r\nhe"], {"close": True}, "RemoteProtocolError"),
    "truncated trailer section": ([CHUNKED + b"5\r\nhello\r\n0\r\n" + LINE], {"close": True}, "RemoteProtocolError"),
    "junk": ([b"220 smtp.example ESMTP\r\n"], {}, "RemoteProtocolError"),
    "huge head": ([OK + b"X: " + b"x" * 200_000], {}, "RemoteProtocolError"),
    "huge trailer": ([CHUNKED + b"0\r\nX: " + b"x" * 200_000], {}, "RemoteProtocolError"),
    "reset": ([CHUNKED + b"5\r\nhello\r\n", b"5\r\nwor"], {"reset": True}, "ReadError"),
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext, Path]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "https"])
def secure(request: pytest.FixtureRequest, tls: tuple[ssl.SSLContext, ssl.SSLContext, Path]) -> ssl.SSLContext | None:
    return tls[0] if request.param == "https" else None


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def fetch(request: pytest.FixtureRequest) -> Iterator[Callable[..., Fetched]]:
    return request.param


@pytest.mark.parametrize(("parts", "close", "expected"), WHOLE.values(), ids=WHOLE)
def test_complete_responses(
    parts: list[bytes],
    close: bool,
    expected: Fetched,
    fetch: Callable[..., Fetched],
    secure: ssl.SSLContext | None,
    tls: tuple[ssl.SSLContext, ssl.SSLContext, Path],
) -> None:
    """Status, body and trailers, however the server sends them."""
    with serving(respond_with(*parts, close=close, pause=0.001), tls=secure) as server:
        assert expected == fetch(server.url, tls[1])


@pytest.mark.parametrize(("parts", "leaving", "error"), BROKEN.values(), ids=BROKEN)
def test_invalid_responses(
    parts: list[bytes],
    leaving: dict[str, bool],
    error: str,
    fetch: Callable[..., Fetched],
    secure: ssl.SSLContext | None,
    tls: tuple[ssl.SSLContext, ssl.SSLContext, Path],
) -> None:
    """A response that ends too early or is not HTTP is an exception of httpx, never a short body."""
    with serving(respond_with(*parts, **leaving), tls=secure) as server, pytest.raises(httpx.TransportError) as caught:
        fetch(server.url, tls[1])

    # A TLS layer may report the reset with its own message, or as an end without close_notify.
    allowed = {error, "RemoteProtocolError"} if leaving.get("reset") else {error}
    assert type(caught.value).__name__ in allowed


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_both_libraries(
    library: str, fetch: Callable[..., Fetched], tls: tuple[ssl.SSLContext, ssl.SSLContext, Path]
) -> None:
    """
    httpx2 over httpcore2 reads trailers as httpx over httpcore does.
    """
    with serving(respond_with(CHUNKED + b"2\r\nhi\r\n0\r\n" + LINE + b"\r\n"), tls=tls[0]) as server:
        assert (200, b"hi", [FAILED]) == fetch(server.url, tls[1], library)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("script", "error"),
    [(respond_with(CHUNKED + b"2\r\nhi", close=True), "RemoteProtocolError"), (respond_with(reset=True), "ReadError")],
    ids=["cut", "reset"],
)
def test_exceptions_are_those_of_the_api_module(
    library: str,
    script: Callable[[RawServer, Peer], None],
    error: str,
    fetch: Callable[..., Fetched],
    tls: tuple[ssl.SSLContext, ssl.SSLContext, Path],
) -> None:
    """A user of httpx2 gets exceptions of httpx2."""
    with serving(script) as server, pytest.raises(getattr(import_module(library), error)):
        fetch(server.url, tls[1], library)


def test_one_piece_for_each_read() -> None:
    """The chunks of one read are joined, and a read of only framing yields nothing."""
    script = respond_with(CHUNKED, b"1\r\na\r\n1\r\nb\r\n", b"1\r\n", b"c\r\n", b"0\r\n", b"\r\n", pause=0.05)
    with serving(script) as server, http_client() as client, client.stream("GET", server.url) as response:
        assert [b"ab", b"c"] == list(response.iter_raw())


async def test_one_piece_for_each_read_async() -> None:
    """Async variant."""
    script = respond_with(CHUNKED, b"1\r\na\r\n1\r\nb\r\n", b"1\r\n", b"c\r\n", b"0\r\n", b"\r\n", pause=0.05)
    with serving(script) as server:
        async with async_http_client() as client, client.stream("GET", server.url) as response:
            assert [b"ab", b"c"] == [data async for data in response.aiter_raw()]


def test_untrusted_certificates_are_rejected(tls: tuple[ssl.SSLContext, ssl.SSLContext, Path]) -> None:
    """By default a server needs a certificate of a known CA for its own name."""

    async def main(**options: Any) -> None:
        async with async_http_client(trust_env=False, **options) as client:
            await client.get(server.url)

    with serving(respond_with(CHUNKED + b"0\r\n\r\n"), tls=tls[0]) as server:
        with pytest.raises(httpx.ConnectError), http_client(trust_env=False) as client:
            client.get(server.url)
        with pytest.raises(httpx.ConnectError):
            asyncio.run(main())
        asyncio.run(main(verify=False))
        asyncio.run(main(verify=str(tls[2])))


def test_cas_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tls: tuple[ssl.SSLContext, ssl.SSLContext, Path]
) -> None:
    """SSL_CERT_FILE is used if `trust_env`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[2]))
    with serving(respond_with(OK + b"Content-Length: 0\r\n\r\n"), tls=tls[0]) as server:
        with http_client() as client:
            assert 200 == client.get(server.url).status_code
        with http_client(trust_env=False) as client, pytest.raises(httpx.ConnectError):
            client.get(server.url)


def test_alpn_and_server_name(tls: tuple[ssl.SSLContext, ssl.SSLContext, Path]) -> None:
    """TLS requests HTTP/1.1, which some servers require."""
    tls[0].set_alpn_protocols(["h2", "http/1.1"])

    def script(server: RawServer, peer: Peer) -> None:
        server.note(peer.sock.selected_alpn_protocol())  # type: ignore[attr-defined]
        respond_with(OK + b"Content-Length: 0\r\n\r\n")(server, peer)

    with serving(script, tls=tls[0]) as server:
        for fetch in VARIANTS.values():
            fetch(server.url.replace("127.0.0.1", "localhost"), tls[1])

    assert ["http/1.1"] * 3 == server.notes


def test_chunked_uploads() -> None:
    """A body of unknown length is chunked."""

    async def pieces() -> Any:
        yield b"hello"
        yield b"!"

    async def main() -> None:
        async with async_http_client() as client:
            await client.post(server.url, content=pieces())

    with serving(respond_with(OK + b"Content-Length: 0\r\n\r\n")) as server:
        with http_client() as client:
            client.post(server.url, content=iter([b"hello", b"!"]))
        asyncio.run(main())

    assert [b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"] * 2 == [
        request.partition(b"\r\n\r\n")[2] for request in server.requests
    ]


def test_large_uploads() -> None:
    """Ten megabytes, while the server reads slowly."""
    size = 10_000_000

    async def main() -> None:
        async with async_http_client(timeout=20) as client:
            await client.post(server.url, content=b"x" * size)

    with serving(respond_with(OK + b"Content-Length: 0\r\n\r\n")) as server:
        with http_client(timeout=20) as client:
            client.post(server.url, content=b"x" * size)
        asyncio.run(main())

    assert [size, size] == [len(request.partition(b"\r\n\r\n")[2]) for request in server.requests]
