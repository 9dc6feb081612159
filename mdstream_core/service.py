"""`Service`: a platform with its authentication and both clients. Each model object of a framework holds one."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from mdstream_core._list_calls import ListCallsMixin
from mdstream_core.batching.execute import ConcurrencyLimiter
from mdstream_core.call import Call
from mdstream_core.dialects import (
    Dialect,
    NegotiatedDialect,
    ParameterMemoryDialect,
    ReasoningRule,
    RejectedParameters,
)
from mdstream_core.errors import InvalidRequest
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


class Service(ListCallsMixin):
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

    def close(self) -> None:
        """Close the synchronous connections."""
        self.client.close()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self.async_client.aclose()
