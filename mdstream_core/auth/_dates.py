"""Dates of signatures. All requests of one second share the text of its date, which takes longer than a hash."""

from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache


@lru_cache(maxsize=4)
def format_http_date(second: int) -> str:
    """Format a time in whole seconds since 1970 as in RFC 9110.

    >>> format_http_date(0)
    'Thu, 01 Jan 1970 00:00:00 GMT'
    """
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=4)
def format_basic_date(second: int) -> str:
    """Format a time in whole seconds since 1970 in the basic format of ISO 8601.

    >>> format_basic_date(0)
    '19700101T000000Z'
    """
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
