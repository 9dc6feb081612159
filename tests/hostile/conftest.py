"""The fixture `hostile`: a server on loopback that sends the bytes of a script."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from _raw_server import RawServer, Script, certificates, serving

Tls = tuple[ssl.SSLContext, ssl.SSLContext, Path]


@pytest.fixture
def hostile() -> Iterator[Callable[..., RawServer]]:
    """Start servers that run a script for each connection, `hostile(script, tls=…)`, until the end of the test.

    Yields:
        A function from a script to a running `RawServer`, which has `url`, `requests`, `notes` and `connections`.
    """
    with ExitStack() as stack:

        def start(script: Script, *, tls: ssl.SSLContext | None = None) -> RawServer:
            return stack.enter_context(serving(script, tls=tls))

        yield start


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Create TLS certificates: the server's context, the client's context, and the CA's file."""
    return certificates(tmp_path_factory.mktemp("tls"))
