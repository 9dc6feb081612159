"""Logs of AWS credentials: a filter for botocore, which logs tokens and signatures at DEBUG, source and validity."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

#: The loggers that log signed requests, and the requests and responses of token services.
_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers", "botocore.tokens", "botocore.utils")

#: botocore's names of credential sources (botocore/credentials.py), and a description of each.
SOURCE_NAMES = {
    "explicit": "passed as an argument",
    "env": "AWS_ACCESS_KEY_ID in the environment",
    "shared-credentials-file": "~/.aws/credentials",
    "config-file": "~/.aws/config",
    "sso": "an SSO session of ~/.aws/config",
    "assume-role": "a role of ~/.aws/config",
    "assume-role-with-web-identity": "a role by web identity",
    "container-role": "the container's role",
    "iam-role": "the EC2 instance's role",
}

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


def seconds_until_expiry(credentials: Any) -> float | None:
    """Return the seconds until botocore's credentials expire; `None` if they do not, or if it does not report it."""
    expiry = getattr(credentials, "_expiry_time", None)  # no public attribute has it
    return (expiry - datetime.now(UTC)).total_seconds() if isinstance(expiry, datetime) else None
