"""A real Redis server for tests, on loopback, if it is installed."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

EXECUTABLE = shutil.which("redis-server") or shutil.which("valkey-server")

needs_redis = pytest.mark.skipif(EXECUTABLE is None, reason="neither redis-server nor valkey-server is installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def redis_server(directory: Path, *, port: int | None = None, password: str = "") -> Iterator[str]:
    """Run a server, and yield its URL without a password."""
    assert EXECUTABLE
    port = port or free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory)]
    process = subprocess.Popen(
        [EXECUTABLE, *options, *(["--requirepass", password] if password else [])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _wait_until_ready(url, password)
        yield url
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(url: str, password: str) -> None:
    client = redis.Redis.from_url(url, password=password or None)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(redis.ConnectionError):
            client.ping()
            client.close()
            return
        time.sleep(0.01)
    raise AssertionError("the server does not start")
