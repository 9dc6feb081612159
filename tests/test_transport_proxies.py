"""Proxies: forwarding and tunnels, plain and TLS, configured or from the environment."""

# ruff: noqa: PLC0415 (the judge is imported where it judges)

import asyncio
import base64
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from _raw_server import RawServer, certificates, proxying, respond_with, serving

from mdstream_core.transport import Transport, async_http_client, http_client
from mdstream_core.transport._clients import environment_proxies

LATE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nStreamFailure: x\r\n\r\n"
FETCHED = (b"hello", [(b"StreamFailure", b"x")])

Tls = tuple[ssl.SSLContext, ssl.SSLContext, Path]
Fetched = tuple[bytes, list[tuple[bytes, bytes]]]


def in_threads(url: str, times: int = 1, **options: Any) -> list[Fetched]:
    with http_client(timeout=5, **options) as client:
        responses = [client.get(url) for _ in range(times)]
        return [(response.content, response.extensions["trailers"]) for response in responses]


async def among_tasks(url: str, times: int = 1, **options: Any) -> list[Fetched]:
    async with async_http_client(timeout=5, **options) as client:
        responses = [await client.get(url) for _ in range(times)]
        return [(response.content, response.extensions["trailers"]) for response in responses]


def under_trio(url: str, times: int = 1, **options: Any) -> list[Fetched]:
    async def main() -> list[Fetched]:
        return await among_tasks(url, times, **options)

    return trio.run(main)


VARIANTS: dict[str, Callable[..., list[Fetched]]] = {
    "sync": in_threads,
    "asyncio": lambda *args, **options: asyncio.run(among_tasks(*args, **options)),
    "trio": under_trio,
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "https"])
def origin(request: pytest.FixtureRequest, tls: Tls) -> Iterator[RawServer]:
    with serving(respond_with(LATE), tls=tls[0] if request.param == "https" else None) as server:
        yield server


@pytest.fixture(params=["http proxy", "https proxy"])
def proxy(request: pytest.FixtureRequest, tls: Tls) -> Iterator[RawServer]:
    with serving(proxying, tls=tls[0] if request.param == "https proxy" else None) as server:
        yield server


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def fetch(request: pytest.FixtureRequest) -> Callable[..., list[Fetched]]:
    return request.param


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove the proxies of the environment that runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_trailers_through_a_proxy(
    library: str, fetch: Callable[..., list[Fetched]], origin: RawServer, proxy: RawServer, tls: Tls
) -> None:
    """Forwarded or tunneled, over a plain or TLS proxy: trailers arrive, and the connection is reused."""
    own = __import__(library).Proxy(proxy.url.replace("//", "//user:secret@"), ssl_context=own_context(proxy, tls))

    assert [FETCHED] * 3 == fetch(origin.url + "/path?query", 3, proxy=own, verify=tls[1], library=library)
    assert (1, 1) == (proxy.connections, origin.connections)

    head = proxy.requests[0]
    wanted = b"CONNECT 127.0.0.1:%d " if origin.url.startswith("https") else b"GET http://127.0.0.1:%d/path?query "
    assert (True, True) == (
        head.startswith(wanted % origin.port),
        b"Proxy-Authorization: Basic " + base64.b64encode(b"user:secret") in head,
    )
    assert wanted.startswith(b"GET") or b"Authorization" not in origin.requests[0]  # a tunnel keeps the secret


def own_context(proxy: RawServer, tls: Tls) -> ssl.SSLContext | None:
    return tls[1] if proxy.url.startswith("https") else None


def test_a_rejected_tunnel(fetch: Callable[..., list[Fetched]], tls: Tls) -> None:
    """It is a ProxyError with the proxy's message."""
    with serving(proxying) as proxy, pytest.raises(httpx.ProxyError, match="407 Proxy Authentication Required"):
        fetch("https://refused.example/", proxy=proxy.url, verify=tls[1])


def test_a_proxy_that_disconnects(fetch: Callable[..., list[Fetched]], tls: Tls) -> None:
    """It is a RemoteProtocolError."""
    with serving(respond_with(close=True)) as proxy, pytest.raises(httpx.RemoteProtocolError):
        fetch("https://example.example/", proxy=proxy.url, verify=tls[1])


@pytest.mark.parametrize("name", ["ALL_PROXY", "specific"])
def test_proxies_of_the_environment(
    name: str, fetch: Callable[..., list[Fetched]], origin: RawServer, tls: Tls, environment: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, if `trust_env`."""
    name = name if name == "ALL_PROXY" else f"{origin.url.partition(':')[0].upper()}_PROXY"
    with serving(proxying) as proxy:
        environment.setenv(name.lower(), proxy.url)

        assert [FETCHED] == fetch(origin.url, verify=tls[1])
        assert 1 == proxy.connections
        assert [FETCHED] == fetch(origin.url, verify=tls[1], trust_env=False)
        assert 1 == proxy.connections


def test_no_proxy(fetch: Callable[..., list[Fetched]], environment: pytest.MonkeyPatch) -> None:
    """NO_PROXY exempts a host."""
    environment.setenv("all_proxy", "http://127.0.0.1:1")
    environment.setenv("no_proxy", "example.com,127.0.0.1")
    with serving(respond_with(LATE)) as server:
        assert [FETCHED] == fetch(server.url)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"http_proxy": "http://a:1", "https_proxy": "b:2", "all_proxy": "socks5://c:3"},
        {"http_proxy": "http://a:1", "no_proxy": "*"},
        {"all_proxy": "http://a:1", "no_proxy": "x.com, .y.com,127.0.0.1,10.0.0.0/8,::1,localhost,http://z.com,"},
    ],
    ids=["none", "three", "star", "exempt"],
)
def test_the_environment_is_read_as_httpx_reads_it(given: dict[str, str], environment: pytest.MonkeyPatch) -> None:
    """Compared with httpx itself."""
    from httpx._utils import get_environment_proxies

    for name, value in given.items():
        environment.setenv(name, value)

    assert get_environment_proxies() == environment_proxies()


def test_socks_is_left_to_the_library() -> None:
    """A SOCKS proxy for mdstream's own transport is an error."""
    with pytest.raises(ValueError, match="socks5://"):
        Transport(proxy="socks5://127.0.0.1:1")


def test_an_unknown_library_is_rejected() -> None:
    """Only httpx and httpx2 are known."""
    with pytest.raises(ValueError, match="'requests'"):
        http_client(library="requests")
