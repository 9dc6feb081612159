"""The fixture `hostile`: a scripted server on loopback."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from _raw_server import RawServer, Script, certificates, serving

Tls = tuple[ssl.SSLContext, ssl.SSLContext, Path]


@pytest.fixture
def hostile() -> Iterator[Callable[..., RawServer]]:
    """Start a server that runs a script for each connection (`hostile(script, tls=…)`) until the test ends.

    Yields:
        A function from a script to a running `RawServer`; see its `url`, `requests`, `notes` and `connections`.
    """
    with ExitStack() as stack:

        def start(script: Script, *, tls: ssl.SSLContext | None = None) -> RawServer:
            return stack.enter_context(serving(script, tls=tls))

        yield start


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """TLS contexts: `(server's context, client's context, file of the CA)`."""
    return certificates(tmp_path_factory.mktemp("tls"))
