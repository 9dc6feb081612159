"""LlamaIndex' rate limiters, as the core uses them: acquired for each HTTP request."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llama_index.core.rate_limiter import BaseRateLimiter


class FrameworkRateLimiter:
    """A rate limiter of LlamaIndex in the core's interface.

    Args:
        limiter: The rate limiter, such as a `TokenBucketRateLimiter`.
    """

    def __init__(self, limiter: "BaseRateLimiter") -> None:
        self._limiter = limiter

    def acquire(self) -> None:
        """Wait until a request may be sent."""
        self._limiter.acquire()

    async def aacquire(self) -> None:
        """Async variant of `acquire`."""
        await self._limiter.async_acquire()
