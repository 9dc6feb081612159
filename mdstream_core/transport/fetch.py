"""One small request and its answer, for whoever needs a key before the first question."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.errors import ConnectionFailed
from mdstream_core.http import Head, Request, Timeout
from mdstream_core.transport._clients import http_client
from mdstream_core.transport.coding import body
from mdstream_core.transport.patience import Patience
from mdstream_core.transport.wall import wall

#: The most that is read of an answer, in bytes; a security limit. A token has some 20 KB.
_MOST = 1024 * 1024


def fetch(request: Request, *, timeout: float = 30.0, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers (names in lower case) and body. Redirects are not followed.

    Args:
        request: What is asked.
        timeout: Seconds for the whole of it.
        options: `verify`, `cert`, `proxy`, `trust_env` for `http_client`.

    Raises:
        ConnectionFailed: It was not reached, or did not answer whole and in time.
    """
    patience = Patience(Timeout(connect=timeout, read=timeout, write=timeout, pool=timeout, total=timeout))
    patience.start()
    with wall(patience), http_client(**options) as client:
        extensions = {"timeout": patience.limits}
        with client.stream(
            request.method, request.url, headers=request.headers, content=request.content, extensions=extensions
        ) as response:
            head = Head.of(response.status_code, response.headers.multi_items())
            return head.status, head.headers, _read(response, patience)


def _read(response: Any, patience: Patience) -> bytes:
    read = bytearray()
    for piece in body(response):
        read += piece
        patience.heard(progress=True, drain=None)
        if len(read) > _MOST:
            raise ConnectionFailed(f"an answer of more than {_MOST} bytes where a token was expected", retryable=False)
    return bytes(read)
