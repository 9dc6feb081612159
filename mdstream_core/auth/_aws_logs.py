"""A log filter for botocore, which logs session tokens and signatures at DEBUG."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The loggers that log signed requests, and the requests and responses of token services.
_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers", "botocore.tokens", "botocore.utils")

_is_active: ContextVar[bool] = ContextVar("mdstream_is_signing", default=False)


class _CredentialLogFilter(logging.Filter):
    """Drops DEBUG records while mdstream signs or fetches credentials; other uses of botocore log as before."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged."""
        return not _is_active.get() or record.levelno > logging.DEBUG


_LOG_FILTER = _CredentialLogFilter()


@contextmanager
def without_credentials_in_logs() -> Iterator[None]:
    """Prevent botocore from logging credentials at DEBUG inside this block."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_LOG_FILTER)  # a second call has no effect
    token = _is_active.set(True)
    try:
        yield
    finally:
        _is_active.reset(token)
