"""A platform, who signs for it, and the two clients: what a model object of either framework holds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mdstream_core.batches import Batches
from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.dialects import (
    BatchLimit,
    Dialect,
    Learning,
    ListDialect,
    ReasoningRule,
    RefusedParameters,
    Remembering,
)
from mdstream_core.errors import InvalidRequest
from mdstream_core.events import Reply
from mdstream_core.http import RequestHeaders, Timeout, require_values, sendable_headers, with_values, without_locals
from mdstream_core.many import Gate, agather, gather
from mdstream_core.platforms import Platform
from mdstream_core.retry import Retry, RetryQuota
from mdstream_core.tracing import Hook


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
        with without_locals:
            headers = with_values("default_headers", sendable_headers("default_headers", headers or {}))
        self.platform = platform
        self.client = Client(auth, http_client, **options)
        self.async_client = AsyncClient(auth, http_async_client, **options)
        self._headers = headers
        self._timeout = Timeout.of(timeout)
        self._retry = retry or Retry()
        #: Limits the retries of all calls of this service, in threads and tasks; `None` where `retry` has no budget.
        self.retry_quota = RetryQuota(self._retry.budget) if self._retry.budget else None
        self._hooks = hooks
        self._resume = resume
        self._gates: dict[int, Gate] = {}
        self._learning: Learning | None = None
        #: What the servers asked for of earlier responses' reasoning, by the model's name.
        self.reasoning_rules: dict[str, ReasoningRule] = {}
        self._refused = RefusedParameters()

    def call(
        self,
        dialect: Dialect,
        question: Mapping[str, Any],
        *,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Call:
        """One question to this endpoint.

        Args:
            dialect: What is spoken.
            question: What is asked, in the OpenAI JSON shape.
            stream: Whether the answer comes piece by piece.
            headers: Further headers of this request; the framework packages give a `SecretHeaders`.

        Raises:
            InvalidRequest: A header cannot be sent; the message names it and shows no value.
        """
        return Call(
            self.platform,
            Remembering(dialect, self._refused),
            question,
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
            with without_locals:
                given = sendable_headers("extra_headers", headers)
                require_values("extra_headers", given)
        except ValueError as error:
            raise InvalidRequest(str(error), code="InvalidHeader") from None
        return RequestHeaders({**self._headers, **given})

    def gather(
        self,
        dialect: ListDialect,
        question: Mapping[str, Any],
        inputs: Sequence[str],
        *,
        batch_size: int | None = None,
        at_once: int = 1,
        answers: int | None = None,
        told: Callable[[int], object] = lambda count: None,
    ) -> Reply:
        """The vectors or the ranking of any number of inputs.

        Args:
            dialect: What is spoken.
            question: All but the inputs.
            inputs: Texts, or data URIs.
            batch_size: Inputs of one request; by default, and at most, what the service takes.
            at_once: How many such requests of this service may be under way: in all threads together, and in all
                tasks of an event loop.
            answers: How many of a ranking's best are wanted; all where it is `None`.
            told: Called with the number of inputs of each request that was answered.

        Raises:
            MDStreamError: A request failed for good; `partial` has what the others gave, by the inputs' places.
        """
        learning = self._learned(dialect)
        batches = self._batches(learning, inputs, batch_size, answers, told)
        return gather(self.client, self._asking(learning, question, inputs), batches, self._gate(at_once))

    async def agather(
        self,
        dialect: ListDialect,
        question: Mapping[str, Any],
        inputs: Sequence[str],
        *,
        batch_size: int | None = None,
        at_once: int = 1,
        answers: int | None = None,
        told: Callable[[int], object] = lambda count: None,
    ) -> Reply:
        """The same, for asynchronous code."""
        learning = self._learned(dialect)
        batches = self._batches(learning, inputs, batch_size, answers, told)
        return await agather(self.async_client, self._asking(learning, question, inputs), batches, self._gate(at_once))

    def _gate(self, at_once: int) -> Gate:
        return self._gates.get(at_once) or self._gates.setdefault(at_once, Gate(at_once))

    def _learned(self, dialect: ListDialect) -> Learning:
        """What is known of how this endpoint wants its requests."""
        learning = self._learning
        if learning is None or learning.dialect != dialect:
            learning = self._learning = Learning(dialect)
        return learning

    def _batches(
        self,
        learning: Learning,
        inputs: Sequence[str],
        batch_size: int | None,
        answers: int | None,
        told: Callable[[int], object],
    ) -> Batches:
        largest = self.platform.largest
        size = largest and largest // 2  # escaping makes texts longer, and other fields stand beside them
        limit = learning.limit.combine(BatchLimit(learning.most if batch_size is None else batch_size, size))
        return Batches(
            [len(one.encode("utf-8", "surrogatepass")) for one in inputs],
            most=limit.inputs or 0,
            most_bytes=limit.size,
            answers=answers,
            told=told,
            learn_limit=learning.learn_limit,
        )

    def _asking(
        self, learning: Learning, question: Mapping[str, Any], inputs: Sequence[str]
    ) -> Callable[[range], Call]:
        def ask(span: range) -> Call:
            return self.call(learning, {**question, learning.field: inputs[span.start : span.stop]}, stream=False)

        return ask

    def close(self) -> None:
        """Close the synchronous connections."""
        self.client.close()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self.async_client.aclose()
