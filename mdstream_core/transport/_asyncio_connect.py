"""Connect TCP sockets for asyncio: try all addresses of a host in the order of RFC 8305 (Happy Eyeballs).

`loop.create_connection(happy_eyeballs_delay=…)` of CPython 3.11 loses the socket of a task that is cancelled at the
moment it was connected; it stays open until the garbage collector runs. Here the task that created a socket, or a
callback of it, closes the socket.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any

_ATTEMPT_DELAY = 0.25  # seconds before the next address is tried beside the first (RFC 8305 section 5)

#: A family and a socket address.
Address = tuple[int, tuple[Any, ...]]


async def open_socket(
    loop: asyncio.AbstractEventLoop, host: str, port: int, local_address: str | None = None
) -> socket.socket:
    """Connect to `host`. Raises `OSError` if no address can be reached."""
    addresses = await resolve(loop, host, port)
    if len(addresses) == 1:
        return await _connect(loop, addresses[0], local_address)
    return await _connect_first(loop, addresses, local_address)


async def resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[Address]:
    """Resolve a host to its addresses, IPv6 and IPv4 alternating. A name is looked up in a thread, an IP is not."""
    try:
        version = ip_address(host).version if "%" not in host else None
    except ValueError:
        version = None
    if version == 4:
        return [(socket.AF_INET, (host, port))]
    if version == 6:
        return [(socket.AF_INET6, (host, port, 0, 0))]
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"the host {host} has no address")
    addresses: list[Address] = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    return _interleave(addresses)


def _interleave(addresses: list[Address]) -> list[Address]:
    """Alternate the addresses of the families, the system's preferred family first."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


async def _connect(loop: asyncio.AbstractEventLoop, address: Address, local_address: str | None) -> socket.socket:
    family, target = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if local_address is not None:
            sock.bind((local_address, 0))
        await loop.sock_connect(sock, target)
    except BaseException:
        with suppress(NotImplementedError):  # the Windows event loop has no writers
            loop.remove_writer(sock)  # before closing, because the file descriptor may be reused at once
        sock.close()
        raise
    return sock


async def _connect_first(
    loop: asyncio.AbstractEventLoop, addresses: Sequence[Address], local_address: str | None
) -> socket.socket:
    """Return the socket that connects first; the next address is tried after a failure or a delay."""
    remaining = list(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    try:
        while remaining or attempts:
            if remaining:
                attempts.add(loop.create_task(_connect(loop, remaining.pop(0), local_address)))
            delay = _ATTEMPT_DELAY if remaining else None
            done, _ = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                error = attempt.exception()
                if error is None:
                    return attempt.result()
                if not isinstance(error, OSError):
                    raise error
                errors.append(error)
    finally:  # also if this task is cancelled: a socket that connects later is closed
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_result)
    raise _combine(errors)


def _close_result(attempt: "asyncio.Task[socket.socket]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _combine(errors: Sequence[OSError]) -> OSError:
    sentences = dict.fromkeys(map(str, errors))
    return errors[0] if len(sentences) == 1 else OSError("; ".join(sentences))
