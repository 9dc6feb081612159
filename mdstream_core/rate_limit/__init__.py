"""Rate limits that threads, tasks, processes and hosts share: `RateLimit`."""

from mdstream_core.rate_limit._attempts import arate_limited, rate_limited
from mdstream_core.rate_limit._call_limits import CallLimits, RateLimiter
from mdstream_core.rate_limit._limiter import Grant
from mdstream_core.rate_limit._rate_limit import RateLimit

__all__ = ["CallLimits", "Grant", "RateLimit", "RateLimiter", "arate_limited", "rate_limited"]
