"""One small request and its answer, for whoever needs a key before the first question."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.errors import ConnectionFailed
from mdstream_core.http import Request, ResponseHead, Timeout
from mdstream_core.transport._clients import http_client
from mdstream_core.transport.decompression import iter_body
from mdstream_core.transport.exceptions import map_exceptions
from mdstream_core.transport.timeouts import TimeoutBudget

#: The most that is read of an answer, in bytes; a security limit. A token has some 20 KB.
_MAX_BODY = 1024 * 1024


def fetch(request: Request, *, timeout: float = 30.0, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers (names in lower case) and body. Redirects are not followed.

    Args:
        request: What is asked.
        timeout: Seconds for the whole of it.
        options: `verify`, `cert`, `proxy`, `trust_env` for `http_client`.

    Raises:
        ConnectionFailed: It was not reached, or did not answer whole and in time.
    """
    budget = TimeoutBudget(Timeout(connect=timeout, read=timeout, write=timeout, pool=timeout, total=timeout))
    budget.start()
    with map_exceptions(budget), http_client(**options) as client:
        extensions = {"timeout": budget.limits}
        with client.stream(
            request.method, request.url, headers=request.headers, content=request.content, extensions=extensions
        ) as response:
            head = ResponseHead.from_fields(response.status_code, response.headers.multi_items())
            return head.status, head.headers, _read(response, budget)


def _read(response: Any, budget: TimeoutBudget) -> bytes:
    read = bytearray()
    for piece in iter_body(response):
        read += piece
        budget.record_read(progress=True, drain_timeout=None)
        if len(read) > _MAX_BODY:
            raise ConnectionFailed(
                f"an answer of more than {_MAX_BODY} bytes where a token was expected", retryable=False
            )
    return bytes(read)
