"""`Service`: a platform with its authentication and both clients. Each model object of a framework holds one."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from functools import partial
from typing import Any

from mdstream_core.batching.execute import ConcurrencyLimiter, agather, gather
from mdstream_core.batching.plan import BatchPlan, measure_text, reject_single_text
from mdstream_core.batching.row_plan import RowPlan
from mdstream_core.batching.rows import RowCollector
from mdstream_core.batching.stream import TaskWorkers, ThreadWorkers, astream, stream
from mdstream_core.batching.stream_plan import StreamPlan
from mdstream_core.call import Call
from mdstream_core.dialects import (
    ArrayDialect,
    BatchLimit,
    Dialect,
    ListDialect,
    NegotiatedDialect,
    ParameterMemoryDialect,
    ReasoningRule,
    RejectedParameters,
)
from mdstream_core.errors import InvalidRequest
from mdstream_core.events import ModelResponse
from mdstream_core.hooks import Hook
from mdstream_core.http import (
    RequestHeaders,
    Timeout,
    drop_missing_values,
    require_values,
    scrub_credentials,
    sendable_headers,
)
from mdstream_core.job_client import create_clients
from mdstream_core.platforms import Platform
from mdstream_core.rate_limit import CallLimits, RateLimit, RateLimiter
from mdstream_core.retry import Retry, RetryQuota


class Service:
    """An endpoint with all that its calls share, such as the retry budget. Threads and tasks may use it concurrently.

    Args:
        platform: The platform of the endpoint.
        auth: A `mdstream_core.auth.Signer`, an `httpx.Auth`, or `None` for unsigned requests.
        headers: Additional headers of each request. Values must be ASCII; `ValueError` names a header that cannot be
            sent.
        timeout: Timeouts in seconds; a number is the `read` timeout. The platform has defaults for the others.
        retry: Retry policy; its budget is shared by all calls of this service.
        hooks: Hooks that receive the events of each call.
        rate_limit: Limit that each request acquires before it is sent.
        rate_limiter: Rate limiter of a framework, for the same purpose.
        resume: How many times an interrupted stream is resumed.
        http_client: The user's own `httpx.Client`.
        http_async_client: The user's own `httpx.AsyncClient`.
        options: Options of the clients that are created if these are missing: `verify`, `cert`, `proxy`, `trust_env`.

    Example:
        >>> from mdstream_core import OCIModelDeployment, OpenAIChat, Service
        >>> service = Service(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"))
        >>> call = service.call(OpenAIChat(), {"messages": [{"role": "user", "content": "Hello"}]})
    """

    def __init__(
        self,
        platform: Platform,
        *,
        auth: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | float | None = None,
        retry: Retry | None = None,
        hooks: tuple[Hook, ...] = (),
        resume: int = 0,
        rate_limit: RateLimit | None = None,
        rate_limiter: RateLimiter | None = None,
        http_client: Any = None,
        http_async_client: Any = None,
        **options: Any,
    ) -> None:
        with scrub_credentials:
            headers = drop_missing_values("default_headers", sendable_headers("default_headers", headers or {}))
        self.platform = platform
        self.client, self.async_client = create_clients(platform, auth, http_client, http_async_client, **options)
        self._headers = headers
        self._timeout = Timeout.from_value(timeout)
        #: The retry policy of all calls.
        self.retry = retry or Retry()
        #: The retry budget of all calls of this service; `None` if `retry` has no budget.
        self.retry_quota = RetryQuota(self.retry.budget) if self.retry.budget else None
        self._hooks = hooks
        self._resume = resume
        self._rate_limit = rate_limit
        self._rate_limiter = rate_limiter
        self._limiters: dict[int, ConcurrencyLimiter] = {}
        self._negotiated: NegotiatedDialect | None = None
        #: Whether to send the reasoning of earlier messages, as error responses required; by the model's name.
        self.reasoning_rules: dict[str, ReasoningRule] = {}
        self._rejected_parameters = RejectedParameters()

    def call(
        self,
        dialect: Dialect,
        params: Mapping[str, Any],
        *,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
        limiter_acquired: bool = False,
    ) -> Call:
        """Create a call to this endpoint.

        Args:
            dialect: API format of the endpoint.
            params: Parameters of the request in the OpenAI JSON shape.
            stream: Whether the response is streamed.
            headers: Additional headers of this request; the framework packages pass a `SecretHeaders`.
            limiter_acquired: Whether the framework has acquired `rate_limiter` for the first request of the call.

        Raises:
            InvalidRequest: A header cannot be sent; the message names it without its value.
        """
        return Call(
            self.platform,
            ParameterMemoryDialect(dialect, self._rejected_parameters),
            params,
            stream=stream,
            headers=self._merge_headers(headers),
            retry=self.retry,
            timeout=self._timeout,
            hooks=self._hooks,
            resume=self._resume,
            quota=self.retry_quota,
            rate_limits=self._create_limits(params, limiter_acquired),
        )

    def with_headers(self, headers: Mapping[str, str]) -> "Service":
        """Return this service with additional headers, for one call; it shares connections and limits."""
        if not headers:
            return self
        service = copy(self)
        service._headers = RequestHeaders(self._merge_headers(headers))
        return service

    def _create_limits(self, params: Mapping[str, Any], acquired: bool) -> CallLimits | None:
        if self._rate_limit is None and self._rate_limiter is None:
            return None
        return CallLimits(self._rate_limit, self._rate_limiter, acquired=acquired, params=params)

    def _merge_headers(self, headers: Mapping[str, str] | None) -> Mapping[str, str]:
        """Merge the headers of each request with those of one call."""
        if not headers:
            return self._headers
        try:
            with scrub_credentials:
                extra = sendable_headers("extra_headers", headers)
                require_values("extra_headers", extra)
        except ValueError as error:
            raise InvalidRequest(str(error), code="InvalidHeader") from None
        return RequestHeaders({**self._headers, **extra})

    def gather(
        self,
        dialect: ListDialect,
        params: Mapping[str, Any],
        inputs: Sequence[str],
        *,
        batch_size: int | None = None,
        max_concurrency: int = 1,
        max_results: int | None = None,
        on_progress: Callable[[int], object] = lambda count: None,
        limiter_acquired: bool = False,
    ) -> ModelResponse:
        """Embed or rerank any number of inputs, in as many requests as needed.

        Args:
            dialect: API format of the endpoint.
            params: Parameters of the requests, without the inputs.
            inputs: Texts, or data URIs of images.
            batch_size: Inputs of one request; by default, and at most, the limit of the service.
            max_concurrency: Maximum number of concurrent requests of this service: in all threads together, and in all
                tasks of an event loop.
            max_results: How many of the best scores to return; `None` returns all.
            on_progress: Called with the number of inputs of each completed request.
            limiter_acquired: Whether the framework has acquired `rate_limiter` for one of the requests.

        Raises:
            MDStreamError: A request failed after its retries; `partial` has the results of the others, with the indices
                of their inputs.
        """
        negotiated = self._negotiate(dialect)
        plan = self._plan_batches(negotiated, inputs, batch_size, max_results, on_progress)
        build_call = self._call_factory(
            negotiated, params, lambda span: inputs[span.start : span.stop], limiter_acquired=limiter_acquired
        )
        return gather(self.client, build_call, plan, self._limiter(max_concurrency))

    async def agather(
        self,
        dialect: ListDialect,
        params: Mapping[str, Any],
        inputs: Sequence[str],
        *,
        batch_size: int | None = None,
        max_concurrency: int = 1,
        max_results: int | None = None,
        on_progress: Callable[[int], object] = lambda count: None,
        limiter_acquired: bool = False,
    ) -> ModelResponse:
        """Async variant of `gather`."""
        negotiated = self._negotiate(dialect)
        plan = self._plan_batches(negotiated, inputs, batch_size, max_results, on_progress)
        build_call = self._call_factory(
            negotiated, params, lambda span: inputs[span.start : span.stop], limiter_acquired=limiter_acquired
        )
        return await agather(self.async_client, build_call, plan, self._limiter(max_concurrency))

    async def agather_rows(
        self,
        dialect: ListDialect,
        params: Mapping[str, Any],
        inputs: Sequence[str],
        *,
        batch_size: int | None = None,
        max_concurrency: int = 1,
        collector: RowCollector,
    ) -> None:
        """Embed inputs of which some may be bad: each gets its own result or its own error.

        Args:
            dialect: API format of the endpoint.
            params: Parameters of the requests, without the inputs.
            inputs: Texts.
            batch_size: Inputs of one request; by default, and at most, the limit of the service.
            max_concurrency: Maximum number of concurrent requests of this service.
            collector: Receives the result or the error of each input, and decides which errors end the batch.

        Raises:
            MDStreamError: An error that ends the batch. The results before it were collected.
        """
        negotiated = self._negotiate(dialect)
        build_plan = partial(RowPlan, collector)
        plan = self._plan_batches(negotiated, inputs, batch_size, None, lambda count: None, build_plan=build_plan)
        build_call = self._call_factory(negotiated, params, lambda span: inputs[span.start : span.stop])
        await agather(self.async_client, build_call, plan, self._limiter(max_concurrency))

    def embed_stream(
        self,
        dialect: ListDialect,
        params: Mapping[str, Any],
        inputs: Iterable[str],
        *,
        batch_size: int | None = None,
        max_concurrency: int = 1,
        as_array: bool = False,
        on_progress: Callable[[int], object] = lambda count: None,
    ) -> Generator[tuple[int, Any]]:
        """Embed the texts of an iterable, which is read while the vectors of earlier texts are yielded.

        Closing the generator cancels the requests in progress. Nothing is read or sent before its first step.

        Args:
            dialect: API format of the endpoint.
            params: Parameters of the requests, without the inputs.
            inputs: Texts, or data URIs of images. At most `4 * batch_size * max_concurrency` are read ahead.
            batch_size: Inputs of one request; by default, and at most, the limit of the service.
            max_concurrency: Maximum number of concurrent requests of this service: in all threads together, and in all
                tasks of an event loop.
            as_array: Whether the vectors are numpy arrays of 32-bit floats; lists of floats by default.
            on_progress: Called with the number of inputs of each completed request.

        Yields:
            The index of each text and its vector, in the order of the texts.

        Raises:
            MDStreamError: A request failed after its retries. The vectors before it were yielded; `partial` has those
                that were received after it, with the indices of their inputs.
            TypeError: A text is no string.
            MissingExtra: `as_array`, and numpy is not installed.
        """
        reject_single_text(inputs)
        negotiated = self._negotiate(dialect)
        plan = self._plan_stream(negotiated, batch_size, max_concurrency, on_progress)
        build_call = self._call_factory(negotiated, params, plan.texts, as_array=as_array)
        workers = ThreadWorkers(self.client, build_call, plan, self._limiter(max_concurrency))
        yield from stream(workers, plan, inputs)

    async def aembed_stream(
        self,
        dialect: ListDialect,
        params: Mapping[str, Any],
        inputs: Iterable[str] | AsyncIterable[str],
        *,
        batch_size: int | None = None,
        max_concurrency: int = 1,
        as_array: bool = False,
        on_progress: Callable[[int], object] = lambda count: None,
    ) -> AsyncGenerator[tuple[int, Any]]:
        """Async variant of `embed_stream`, which also takes async iterables.

        Close it with `contextlib.aclosing` where it may not be read to its end.
        """
        reject_single_text(inputs)
        negotiated = self._negotiate(dialect)
        plan = self._plan_stream(negotiated, batch_size, max_concurrency, on_progress)
        build_call = self._call_factory(negotiated, params, plan.texts, as_array=as_array)
        workers = TaskWorkers(self.async_client, build_call, plan, self._limiter(max_concurrency))
        async with aclosing(astream(workers, plan, inputs)) as results:
            async for result in results:
                yield result

    def _limiter(self, max_concurrency: int) -> ConcurrencyLimiter:
        return self._limiters.get(max_concurrency) or self._limiters.setdefault(
            max_concurrency, ConcurrencyLimiter(max_concurrency)
        )

    def _negotiate(self, dialect: ListDialect) -> NegotiatedDialect:
        """Return the dialect with the accepted request form and batch limit that earlier requests have found."""
        negotiated = self._negotiated
        if negotiated is None or negotiated.dialect != dialect:
            negotiated = self._negotiated = NegotiatedDialect(dialect)
        return negotiated

    def _plan_batches(
        self,
        negotiated: NegotiatedDialect,
        inputs: Sequence[str],
        batch_size: int | None,
        max_results: int | None,
        on_progress: Callable[[int], object],
        *,
        build_plan: Callable[..., BatchPlan] = BatchPlan,
    ) -> BatchPlan:
        reject_single_text(inputs)
        limit = self._batch_limit(negotiated, batch_size)
        return build_plan(
            [measure_text(index, text) for index, text in enumerate(inputs)],
            max_batch_size=limit.inputs or 0,
            max_batch_bytes=limit.bytes,
            max_results=max_results,
            on_progress=on_progress,
            learn_limit=negotiated.learn_limit,
        )

    def _plan_stream(
        self,
        negotiated: NegotiatedDialect,
        batch_size: int | None,
        max_concurrency: int,
        on_progress: Callable[[int], object],
    ) -> StreamPlan:
        limit = self._batch_limit(negotiated, batch_size)
        return StreamPlan(
            max_batch_size=limit.inputs or 0,
            max_batch_bytes=limit.bytes,
            max_concurrency=max_concurrency,
            on_progress=on_progress,
            learn_limit=negotiated.learn_limit,
        )

    def _batch_limit(self, negotiated: NegotiatedDialect, batch_size: int | None) -> BatchLimit:
        """Return the limit of one request, of the caller, the service and earlier error responses."""
        max_bytes = self.platform.max_request_bytes
        size = max_bytes and max_bytes // 2  # JSON escaping makes texts longer, and a request has other fields too
        return negotiated.limit.combine(
            BatchLimit(negotiated.max_batch_size if batch_size is None else batch_size, size)
        )

    def _call_factory(
        self,
        negotiated: NegotiatedDialect,
        params: Mapping[str, Any],
        texts: Callable[[range], Sequence[str]],
        *,
        as_array: bool = False,
        limiter_acquired: bool = False,
    ) -> Callable[[range], Call]:
        dialect = ArrayDialect(negotiated) if as_array else negotiated
        acquired = iter([limiter_acquired])  # for the first call

        def build_call(span: range) -> Call:
            return self.call(
                dialect,
                {**params, negotiated.input_field: texts(span)},
                stream=False,
                limiter_acquired=next(acquired, False),
            )

        return build_call

    def close(self) -> None:
        """Close the synchronous connections."""
        self.client.close()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self.async_client.aclose()
