"""A platform, who signs for it, and the two clients: what a model object of either framework holds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mdstream_core.batching.execute import ConcurrencyLimiter, agather, gather
from mdstream_core.batching.plan import BatchPlan
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.dialects import (
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
from mdstream_core.platforms import Platform
from mdstream_core.retry import Retry, RetryQuota


class Service:
    """One endpoint, ready to be asked. Immutable but for its connections; shared by threads and tasks.

    Args:
        platform: Where to ask.
        auth: A `mdstream_core.auth.Signer`, an `httpx.Auth`, or `None` for unsigned requests.
        headers: Further headers of each request. Values are texts of ASCII; `ValueError` names what cannot be sent.
        timeout: How long to wait; a number is the longest silence, over the platform's defaults.
        retry: When to ask again; its budget is for all calls of this service together.
        hooks: Told what happens in each call.
        resume: How many times to go on with an answer that broke.
        http_client: An `httpx.Client` of the user's own.
        http_async_client: An `httpx.AsyncClient` of the user's own.
        options: For the clients that are made where none is given: `verify`, `cert`, `proxy`, `trust_env`.

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
        http_client: Any = None,
        http_async_client: Any = None,
        **options: Any,
    ) -> None:
        with scrub_credentials:
            headers = drop_missing_values("default_headers", sendable_headers("default_headers", headers or {}))
        self.platform = platform
        self.client = Client(auth, http_client, **options)
        self.async_client = AsyncClient(auth, http_async_client, **options)
        self._headers = headers
        self._timeout = Timeout.from_value(timeout)
        self._retry = retry or Retry()
        #: Limits the retries of all calls of this service, in threads and tasks; `None` where `retry` has no budget.
        self.retry_quota = RetryQuota(self._retry.budget) if self._retry.budget else None
        self._hooks = hooks
        self._resume = resume
        self._limiters: dict[int, ConcurrencyLimiter] = {}
        self._negotiated: NegotiatedDialect | None = None
        #: What the servers asked for of earlier responses' reasoning, by the model's name.
        self.reasoning_rules: dict[str, ReasoningRule] = {}
        self._rejected_parameters = RejectedParameters()

    def call(
        self,
        dialect: Dialect,
        params: Mapping[str, Any],
        *,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Call:
        """One question to this endpoint.

        Args:
            dialect: What is spoken.
            params: What is asked, in the OpenAI JSON shape.
            stream: Whether the answer comes piece by piece.
            headers: Further headers of this request; the framework packages give a `SecretHeaders`.

        Raises:
            InvalidRequest: A header cannot be sent; the message names it and shows no value.
        """
        return Call(
            self.platform,
            ParameterMemoryDialect(dialect, self._rejected_parameters),
            params,
            stream=stream,
            headers=self._with(headers),
            retry=self._retry,
            timeout=self._timeout,
            hooks=self._hooks,
            resume=self._resume,
            quota=self.retry_quota,
        )

    def _with(self, headers: Mapping[str, str] | None) -> Mapping[str, str]:
        """The headers of each request with those of one call."""
        if not headers:
            return self._headers
        try:
            with scrub_credentials:
                given = sendable_headers("extra_headers", headers)
                require_values("extra_headers", given)
        except ValueError as error:
            raise InvalidRequest(str(error), code="InvalidHeader") from None
        return RequestHeaders({**self._headers, **given})

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
    ) -> ModelResponse:
        """The vectors or the ranking of any number of inputs.

        Args:
            dialect: What is spoken.
            params: All but the inputs.
            inputs: Texts, or data URIs.
            batch_size: Inputs of one request; by default, and at most, what the service takes.
            max_concurrency: How many such requests of this service may be under way: in all threads together, and in
            all
                tasks of an event loop.
            max_results: How many of a ranking's best are wanted; all where it is `None`.
            on_progress: Called with the number of inputs of each request that was answered.

        Raises:
            MDStreamError: A request failed for good; `partial` has what the others gave, by the inputs' places.
        """
        learning = self._negotiate(dialect)
        batches = self._plan_batches(learning, inputs, batch_size, max_results, on_progress)
        return gather(
            self.client, self._call_factory(learning, params, inputs), batches, self._limiter(max_concurrency)
        )

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
    ) -> ModelResponse:
        """The same, for asynchronous code."""
        learning = self._negotiate(dialect)
        batches = self._plan_batches(learning, inputs, batch_size, max_results, on_progress)
        return await agather(
            self.async_client, self._call_factory(learning, params, inputs), batches, self._limiter(max_concurrency)
        )

    def _limiter(self, max_concurrency: int) -> ConcurrencyLimiter:
        return self._limiters.get(max_concurrency) or self._limiters.setdefault(
            max_concurrency, ConcurrencyLimiter(max_concurrency)
        )

    def _negotiate(self, dialect: ListDialect) -> NegotiatedDialect:
        """What is known of how this endpoint wants its requests."""
        learning = self._negotiated
        if learning is None or learning.dialect != dialect:
            learning = self._negotiated = NegotiatedDialect(dialect)
        return learning

    def _plan_batches(
        self,
        negotiated: NegotiatedDialect,
        inputs: Sequence[str],
        batch_size: int | None,
        max_results: int | None,
        on_progress: Callable[[int], object],
    ) -> BatchPlan:
        largest = self.platform.max_request_bytes
        size = largest and largest // 2  # escaping makes texts longer, and other fields stand beside them
        limit = negotiated.limit.combine(
            BatchLimit(negotiated.max_batch_size if batch_size is None else batch_size, size)
        )
        return BatchPlan(
            [len(one.encode("utf-8", "surrogatepass")) for one in inputs],
            max_batch_size=limit.inputs or 0,
            max_batch_bytes=limit.bytes,
            max_results=max_results,
            on_progress=on_progress,
            learn_limit=negotiated.learn_limit,
        )

    def _call_factory(
        self, negotiated: NegotiatedDialect, params: Mapping[str, Any], inputs: Sequence[str]
    ) -> Callable[[range], Call]:
        def build_call(span: range) -> Call:
            return self.call(
                negotiated, {**params, negotiated.input_field: inputs[span.start : span.stop]}, stream=False
            )

        return build_call

    def close(self) -> None:
        """Close the synchronous connections."""
        self.client.close()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self.async_client.aclose()
