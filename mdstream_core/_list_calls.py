"""`ListCallsMixin`: calls of a service with a list or an iterable of inputs, in as many requests as needed."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

from mdstream_core._images import ImageURIs
from mdstream_core.batching.array_plan import ArrayPlan
from mdstream_core.batching.execute import ConcurrencyLimiter, agather, gather
from mdstream_core.batching.plan import BatchPlan, measure_text, reject_single_text
from mdstream_core.batching.row_plan import RowPlan
from mdstream_core.batching.rows import RowCollector
from mdstream_core.batching.stream import TaskWorkers, ThreadWorkers, astream, stream
from mdstream_core.batching.stream_plan import StreamPlan
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.dialects import ArrayDialect, BatchLimit, Dialect, ListDialect, NegotiatedDialect
from mdstream_core.events import ModelResponse
from mdstream_core.job_client import AsyncJobClient, JobClient
from mdstream_core.platforms import Platform

Plan = TypeVar("Plan", bound=BatchPlan)


class ListCallsMixin:
    """The methods of a `Service` for embeddings and reranking."""

    platform: Platform
    client: Client | JobClient
    async_client: AsyncClient | AsyncJobClient
    _limiters: dict[int, ConcurrencyLimiter]
    _negotiated: NegotiatedDialect | None

    def call(
        self, dialect: Dialect, params: Mapping[str, Any], *, stream: bool = True, limiter_acquired: bool = False
    ) -> Call:
        """Create a call; see `Service.call`."""
        raise NotImplementedError

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
        build_plan = partial(BatchPlan, max_results=max_results)
        plan = self._plan_batches(negotiated, inputs, batch_size, on_progress, build_plan)
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
        build_plan = partial(BatchPlan, max_results=max_results)
        plan = self._plan_batches(negotiated, inputs, batch_size, on_progress, build_plan)
        build_call = self._call_factory(
            negotiated, params, lambda span: inputs[span.start : span.stop], limiter_acquired=limiter_acquired
        )
        return await agather(self.async_client, build_call, plan, self._limiter(max_concurrency))

    def gather_array(
        self,
        dialect: ListDialect,
        params: Mapping[str, Any],
        inputs: Sequence[str],
        *,
        batch_size: int | None = None,
        max_concurrency: int = 1,
        on_progress: Callable[[int], object] = lambda count: None,
    ) -> Any:
        """Embed any number of inputs as the rows of one numpy array, without lists of numbers in between.

        Args:
            dialect: API format of the endpoint.
            params: Parameters of the requests, without the inputs.
            inputs: Texts, or data URIs of images.
            batch_size: Inputs of one request; by default, and at most, the limit of the service.
            max_concurrency: Maximum number of concurrent requests of this service.
            on_progress: Called with the number of inputs of each completed request.

        Returns:
            An array of 32-bit floats with a row for each input, in order; of the shape `(0, 0)` without inputs.

        Raises:
            MDStreamError: A request failed after its retries; `partial` has the vectors of the others as arrays, with
                the indices of their inputs.
            MissingExtra: numpy is not installed.
        """
        negotiated = self._negotiate(dialect)
        plan = self._plan_batches(negotiated, inputs, batch_size, on_progress, ArrayPlan)
        build_call = self._call_factory(negotiated, params, lambda span: inputs[span.start : span.stop], as_array=True)
        gather(self.client, build_call, plan, self._limiter(max_concurrency))
        return plan.array

    async def agather_array(
        self,
        dialect: ListDialect,
        params: Mapping[str, Any],
        inputs: Sequence[str],
        *,
        batch_size: int | None = None,
        max_concurrency: int = 1,
        on_progress: Callable[[int], object] = lambda count: None,
    ) -> Any:
        """Async variant of `gather_array`."""
        negotiated = self._negotiate(dialect)
        plan = self._plan_batches(negotiated, inputs, batch_size, on_progress, ArrayPlan)
        build_call = self._call_factory(negotiated, params, lambda span: inputs[span.start : span.stop], as_array=True)
        await agather(self.async_client, build_call, plan, self._limiter(max_concurrency))
        return plan.array

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
        plan = self._plan_batches(negotiated, inputs, batch_size, lambda count: None, build_plan)
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
        on_progress: Callable[[int], object],
        build_plan: Callable[..., Plan],
    ) -> Plan:
        reject_single_text(inputs)
        limit = self._batch_limit(negotiated, batch_size)
        return build_plan(
            inputs.sizes if isinstance(inputs, ImageURIs) else list(map(measure_text, range(len(inputs)), inputs)),
            max_batch_size=limit.inputs or 0,
            max_batch_bytes=limit.bytes,
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
