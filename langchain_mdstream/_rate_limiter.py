"""LangChain's rate limiters, as the core uses them: acquired for each HTTP request."""

from langchain_core.rate_limiters import BaseRateLimiter


class FrameworkRateLimiter:
    """A rate limiter of LangChain in the core's interface.

    Args:
        limiter: The rate limiter, such as an `InMemoryRateLimiter`.
    """

    def __init__(self, limiter: BaseRateLimiter) -> None:
        self._limiter = limiter

    def acquire(self) -> object:
        """Wait until a request may be sent."""
        return self._limiter.acquire(blocking=True)

    async def aacquire(self) -> object:
        """Async variant of `acquire`."""
        return await self._limiter.aacquire(blocking=True)
