"""`fetch`: send one small request, for signers that get a token from a service."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.errors import ConnectionFailed
from mdstream_core.http import Request, ResponseHead, Timeout
from mdstream_core.transport._clients import http_client
from mdstream_core.transport.decompression import iter_body
from mdstream_core.transport.exceptions import map_exceptions
from mdstream_core.transport.timeouts import TimeoutBudget

#: Maximum size of a response body in bytes; a security limit. A token has about 20 KB.
_MAX_BODY = 1024 * 1024


def fetch(request: Request, *, timeout: float = 30.0, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request and read its response. Redirects are not followed.

    Args:
        request: The request.
        timeout: Timeout of the whole exchange in seconds.
        options: `verify`, `cert`, `proxy`, `trust_env` for `http_client`.

    Returns:
        Status code, headers (names in lower case) and body.

    Raises:
        MDStreamError: The service was not reached, or the response is incomplete, too slow or too large.
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
    body = bytearray()
    for piece in iter_body(response):
        body += piece
        budget.record_read(progress=True, drain_timeout=None)
        if len(body) > _MAX_BODY:
            raise ConnectionFailed(
                f"the response has more than {_MAX_BODY} bytes, where a token was expected", retryable=False
            )
    return bytes(body)
