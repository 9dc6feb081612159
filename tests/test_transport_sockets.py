"""The timeouts of reads and writes over a socket, whose own timeout is not set for each of them."""

import errno
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpcore
import pytest

from mdstream_core.transport._socket_backend import SocketStream


class Inner:
    """The part of httpcore's stream that is used: it has the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.close = sock.close

    def get_extra_info(self, info: str) -> Any:
        return self._sock if info == "socket" else None


class CountingSocket(socket.socket):
    """A socket that counts how often its timeout is set."""

    timeouts_set = 0

    def settimeout(self, value: float | None) -> None:
        self.timeouts_set += 1
        super().settimeout(value)


@pytest.fixture
def pair() -> Iterator[tuple[CountingSocket, socket.socket]]:
    """Two connected sockets."""
    ours, theirs = socket.socketpair()
    with CountingSocket(fileno=ours.detach()) as counting, theirs:
        yield counting, theirs


def send_later(sock: socket.socket, seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, sock.sendall, (b"late",))
    timer.start()
    return timer


def test_similar_timeouts_share_the_timeout_of_the_socket(pair: tuple[CountingSocket, socket.socket]) -> None:
    """A request is written with 30 seconds and read with 65: the socket's timeout is set once for all requests."""
    ours, theirs = pair
    stream = SocketStream(httpcore, Inner(ours))
    for _ in range(3):
        stream.write(b"request", 30.0)
        theirs.sendall(b"response")
        assert b"response" == stream.read(100, 65.0)
        theirs.sendall(b"end")
        assert b"end" == stream.read(100, 10.0)

    assert 2 == ours.timeouts_set  # 30, and 10, which serves all after it
    assert 10.0 == ours.gettimeout()


def test_a_read_waits_for_its_whole_timeout(pair: tuple[CountingSocket, socket.socket]) -> None:
    """Also if that of the socket expires before."""
    ours, _ = pair
    stream = SocketStream(httpcore, Inner(ours))
    stream.write(b"request", 0.2)
    started = time.monotonic()
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(100, 0.5)

    assert time.monotonic() - started >= 0.5


def test_data_that_arrives_after_the_timeout_of_the_socket_is_read(pair: tuple[CountingSocket, socket.socket]) -> None:
    """The wait continues."""
    ours, theirs = pair
    stream = SocketStream(httpcore, Inner(ours))
    stream.write(b"request", 0.2)
    timer = send_later(theirs, 0.3)

    assert b"late" == stream.read(100, 1.5)
    timer.join()


@pytest.mark.parametrize("timeout", [0.1, 0.01])
def test_a_shorter_timeout_applies_at_once(pair: tuple[CountingSocket, socket.socket], timeout: float) -> None:
    """It replaces that of the socket."""
    ours, _ = pair
    stream = SocketStream(httpcore, Inner(ours))
    stream.write(b"request", 30.0)
    started = time.monotonic()
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(100, timeout)

    assert timeout <= time.monotonic() - started < 10


def test_a_much_shorter_timeout_of_the_socket_is_replaced(pair: tuple[CountingSocket, socket.socket]) -> None:
    """A read after a deadline has a millisecond; a later wait must not end every millisecond."""
    ours, theirs = pair
    stream = SocketStream(httpcore, Inner(ours))
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(100, 0.001)
    theirs.sendall(b"data")

    assert b"data" == stream.read(100, 60.0)
    assert 60.0 == ours.gettimeout()


def test_no_timeout_is_infinite(pair: tuple[CountingSocket, socket.socket]) -> None:
    """After a read with a timeout, and before one."""
    ours, theirs = pair
    stream = SocketStream(httpcore, Inner(ours))
    stream.write(b"request", 0.1)
    timer = send_later(theirs, 0.3)

    assert b"late" == stream.read(100, None)
    assert ours.gettimeout() is None
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(100, 0.05)
    timer.join()


def test_a_write_waits_for_its_whole_timeout(pair: tuple[CountingSocket, socket.socket]) -> None:
    """The peer reads nothing; after a read with a shorter timeout."""
    ours, theirs = pair
    stream = SocketStream(httpcore, Inner(ours))
    theirs.sendall(b"data")
    stream.read(100, 0.2)
    started = time.monotonic()
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(b"x" * 50_000_000, 0.5)

    assert time.monotonic() - started >= 0.5


def test_each_piece_of_a_write_has_the_whole_timeout(pair: tuple[CountingSocket, socket.socket]) -> None:
    """A peer that reads slowly, but without a break, is no failure."""
    ours, theirs = pair
    stream = SocketStream(httpcore, Inner(ours))
    size, received = 3_000_000, []

    def read() -> None:
        while sum(received) < size:
            received.append(len(theirs.recv(200_000)))
            time.sleep(0.02)

    reader = threading.Thread(target=read)
    reader.start()
    stream.write(b"x" * size, 0.25)
    reader.join()

    assert size == sum(received)


class BrokenSocket(CountingSocket):
    """A socket whose connection the system has given up, which it reports once."""

    def recv(self, *_: Any) -> bytes:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    send = recv  # type: ignore[assignment]


def test_an_error_of_the_system_is_no_expired_timeout() -> None:
    """It has the same class, but the next call would not report it again."""
    ours, theirs = socket.socketpair()
    with BrokenSocket(fileno=ours.detach()) as broken, theirs:
        stream = SocketStream(httpcore, Inner(broken))
        stream._set_limit(10.0)
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(100, 30.0)
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(b"x", 30.0)
