"""Clients for asynchronous inference: the request of an attempt becomes a job, and its output the response.

Everything else is as for other calls: decoding, errors, hooks. The wait is not part of the call's total timeout; it has
a timeout of its own (`AsyncInference.timeout`).
"""

import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from mdstream_core.attempt import Attempt
from mdstream_core.auth import Signer, UnsignedSigner, sign_s3
from mdstream_core.client import AsyncClient, Client, _arefresh, _refresh, _set_event
from mdstream_core.errors import MDStreamError, StreamInterrupted
from mdstream_core.http import Request, ResponseHead, scrub_credentials
from mdstream_core.platforms import Platform, SageMaker
from mdstream_core.platforms._s3 import JobResponse
from mdstream_core.platforms._sagemaker_async import AsyncInference, Send, Wait, run_job
from mdstream_core.transport._cancellation import CancelToken, sleep
from mdstream_core.transport._loop_bound import call_soon
from mdstream_core.transport.decompression import aiter_body, iter_body
from mdstream_core.transport.exceptions import map_exceptions
from mdstream_core.transport.timeouts import TimeoutBudget

if TYPE_CHECKING:
    import httpx

#: Maximum size of an output in bytes; a security limit.
_MAX_OUTPUT_BYTES = 64 * 1024 * 1024


class JobClient(Client):
    """Synchronous client for asynchronous inference."""

    def __init__(self, platform: SageMaker, auth: Any, http: Any, **options: Any) -> None:
        super().__init__(auth, http, **options)
        self._platform = platform

    def _send(self, attempt: Attempt, budget: TimeoutBudget) -> "httpx.Response":
        with closing(run_job(_options(self._platform), self._platform.region_name, attempt.request)) as job:
            step = next(job)
            while True:
                started = time.monotonic()
                if isinstance(step, Wait):
                    _pause(step, attempt.cancel_token)
                    received = JobResponse(ResponseHead(0), seconds=time.monotonic() - started)
                else:
                    received = self._send_step(step, attempt, budget)
                budget.extend(time.monotonic() - started)
                try:
                    step = job.send(received)
                except StopIteration as end:
                    return _build_response(end.value)

    def _send_step(self, step: Send, attempt: Attempt, budget: TimeoutBudget) -> JobResponse:
        """Send one request of the exchange, and read its response."""
        started = time.monotonic()
        try:
            with map_exceptions(budget):
                generation = _find_rejected_generation(step, attempt, self._signer)
                if generation is not None or self._signer.needs_refresh():
                    attempt.rejected_generation = None
                    _refresh(self._signer, self._signer.generation if generation is None else generation, budget)
                request = _sign(step, self._signer, attempt, budget)
                extensions = attempt.build_extensions(budget.limits)
                response = self._get_sender().send(request, extensions, self._auth)
                try:
                    body = _Body()
                    for data in iter_body(response):
                        body.add(data)
                finally:
                    response.close()
        except MDStreamError as error:
            return JobResponse(ResponseHead(0), seconds=time.monotonic() - started, error=error)
        return body.to_response(response, time.monotonic() - started)


class AsyncJobClient(AsyncClient):
    """Asynchronous client for asynchronous inference."""

    def __init__(self, platform: SageMaker, auth: Any, http: Any, **options: Any) -> None:
        super().__init__(auth, http, **options)
        self._platform = platform

    async def _send(self, attempt: Attempt, budget: TimeoutBudget) -> "httpx.Response":
        with closing(run_job(_options(self._platform), self._platform.region_name, attempt.request)) as job:
            step = next(job)
            while True:
                started = time.monotonic()
                if isinstance(step, Wait):
                    await _apause(step, attempt.cancel_token)
                    received = JobResponse(ResponseHead(0), seconds=time.monotonic() - started)
                else:
                    received = await self._send_step(step, attempt, budget)
                budget.extend(time.monotonic() - started)
                try:
                    step = job.send(received)
                except StopIteration as end:
                    return _build_response(end.value)

    async def _send_step(self, step: Send, attempt: Attempt, budget: TimeoutBudget) -> JobResponse:
        """Send one request of the exchange, and read its response."""
        started = time.monotonic()
        try:
            with map_exceptions(budget):
                generation = _find_rejected_generation(step, attempt, self._signer)
                if generation is not None or self._signer.needs_refresh():
                    attempt.rejected_generation = None
                    await _arefresh(self._signer, self._signer.generation if generation is None else generation, budget)
                request = _sign(step, self._signer, attempt, budget)
                extensions = attempt.build_extensions(budget.limits)
                response = await self._get_sender().send(request, extensions, self._auth)
                try:
                    body = _Body()
                    async for data in aiter_body(response):
                        body.add(data)
                finally:
                    await response.aclose()
        except MDStreamError as error:
            return JobResponse(ResponseHead(0), seconds=time.monotonic() - started, error=error)
        return body.to_response(response, time.monotonic() - started)


def _find_rejected_generation(step: Send, attempt: Attempt, signer: Signer) -> int | None:
    """Return the generation of the credentials that were rejected, if others can be fetched."""
    if step.refreshes and signer.can_refresh():
        return attempt.generation
    return attempt.rejected_generation


class _Pause:
    """A wait of a thread, which a notification ends, or the cancellation of its call."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def interrupt(self) -> None:
        """End the wait."""
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Wait until the end, at most so long."""
        self._ended.wait(seconds)


def _pause(step: Wait, token: CancelToken | None) -> None:
    """Wait, until the notification at most."""
    if step.expected is None:
        sleep(step.seconds, token)
        return
    pause = _Pause()
    step.expected.set_callback(pause.interrupt)
    if token is not None:
        token.add(pause)
    try:
        pause.wait(step.seconds)
    finally:
        if token is not None:
            token.remove(pause)
    if token is not None:
        token.check()


async def _apause(step: Wait, token: CancelToken | None) -> None:
    """Async variant. A task is cancelled by its event loop, so that it needs no token."""
    if step.expected is None:
        await anyio.sleep(step.seconds)
        return
    delivered = anyio.Event()
    step.expected.set_callback(partial(_set_event, call_soon(), delivered, None))
    with anyio.move_on_after(step.seconds):
        await delivered.wait()


class _Body:
    """The body of a response, up to a limit."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > _MAX_OUTPUT_BYTES:
            raise StreamInterrupted(
                f"the output has more than {_MAX_OUTPUT_BYTES} bytes (hint: read it from S3)", retryable=False
            )

    def to_response(self, response: Any, seconds: float) -> JobResponse:
        head = ResponseHead.from_fields(response.status_code, response.headers.multi_items())
        return JobResponse(head, bytes(self._data), seconds)


def _options(platform: SageMaker) -> AsyncInference:
    return platform.async_inference or AsyncInference()


def _sign(step: Send, signer: Any, attempt: Attempt, budget: TimeoutBudget) -> Request:
    """Sign a request, and start its timeouts."""
    budget.start()
    attempt.generation = signer.generation
    with scrub_credentials:
        signed: Request = sign_s3(signer, step.request) if step.to_s3 else signer.sign(step.request)
    return signed


def _build_response(result: JobResponse) -> "httpx.Response":
    """Build the response that the attempt decodes."""
    import httpx  # noqa: PLC0415  # it takes a tenth of a second

    headers = {name: value for name, value in result.head.headers.items() if name not in _FRAMING}
    return httpx.Response(result.head.status, headers=headers, content=result.body)


#: Headers that describe how the body was transferred.
_FRAMING = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})


def create_clients(
    platform: Platform, auth: Any, http: Any, async_http: Any, **options: Any
) -> tuple[Client, AsyncClient]:
    """Create both clients for a platform.

    Raises:
        ValueError: Asynchronous inference, and `auth` cannot sign requests to S3.
    """
    if not (isinstance(platform, SageMaker) and platform.async_inference):
        return Client(auth, http, **options), AsyncClient(auth, async_http, **options)
    if auth is not None and not hasattr(auth, "region_name") and not isinstance(auth, UnsignedSigner):
        raise ValueError("async_inference needs AWS credentials, for requests to S3 (hint: remove auth)")
    return JobClient(platform, auth, http, **options), AsyncJobClient(platform, auth, async_http, **options)
