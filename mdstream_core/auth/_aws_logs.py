"""botocore's logs while it signs or fetches credentials: at DEBUG it writes session tokens and signatures there."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The loggers that are written to with what is signed, sent to token services, and received from them.
_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers", "botocore.tokens", "botocore.utils")

_is_active: ContextVar[bool] = ContextVar("mdstream signs", default=False)


class _CredentialLogFilter(logging.Filter):
    """Drops what is written at DEBUG by our own signing and fetching; a boto3 client beside us logs as before."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        return not _is_active.get() or record.levelno > logging.DEBUG


_LOG_FILTER = _CredentialLogFilter()


@contextmanager
def without_credentials_in_logs() -> Iterator[None]:
    """Keep botocore from logging credentials at DEBUG inside of this block."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_LOG_FILTER)  # adds it once
    token = _is_active.set(True)
    try:
        yield
    finally:
        _is_active.reset(token)
