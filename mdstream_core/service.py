"""A platform, who signs for it, and the two clients: what a model object of either framework holds."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.dialects import Dialect
from mdstream_core.http import Timeout
from mdstream_core.platforms import Platform
from mdstream_core.retry import Retry
from mdstream_core.tracing import Hook


class Service:
    """One endpoint, ready to be asked. Immutable but for its connections; shared by threads and tasks.

    Args:
        platform: Where to ask.
        auth: A `mdstream_core.auth.Signer`, an `httpx.Auth`, or `None` for unsigned requests.
        headers: Further headers of each request.
        timeout: How long to wait.
        retry: When to ask again.
        hooks: Told what happens in each call.
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
        http_client: Any = None,
        http_async_client: Any = None,
        **options: Any,
    ) -> None:
        for name, value in (headers or {}).items():
            if not (name.isascii() and value.isascii() and value.isprintable()):
                raise ValueError(
                    f"headers: {name!r} has a value that cannot be sent: characters outside ASCII, or a line break"
                )
        self.platform = platform
        self.client = Client(auth, http_client, **options)
        self.async_client = AsyncClient(auth, http_async_client, **options)
        self._headers = dict(headers or {})
        self._timeout = Timeout.of(timeout)
        self._retry = retry or Retry()
        self._hooks = hooks

    def call(
        self,
        dialect: Dialect,
        question: Mapping[str, Any],
        *,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Call:
        """One question to this endpoint."""
        return Call(
            self.platform,
            dialect,
            question,
            stream=stream,
            headers={**self._headers, **(headers or {})},
            retry=self._retry,
            timeout=self._timeout,
            hooks=self._hooks,
        )

    def close(self) -> None:
        """Close the synchronous connections."""
        self.client.close()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self.async_client.aclose()
