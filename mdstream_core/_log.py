"""The loggers, the environment variable `MDSTREAM_LOG`, and which values may be logged.

`mdstream` has a `NullHandler`, as libraries do: without a configuration of logging nothing is written to stderr.
"""

import logging
import os
import re
import warnings
from collections.abc import Mapping
from typing import Any

#: Environment variable with the level from which records are written to stderr.
VARIABLE = "MDSTREAM_LOG"

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}

#: Ends of calls, and heads of requests and responses.
CALLS = logging.getLogger("mdstream")
RETRIES = logging.getLogger("mdstream.retry")
AUTH = logging.getLogger("mdstream.auth")
TRANSPORT = logging.getLogger("mdstream.transport")
BATCHES = logging.getLogger("mdstream.batch")
GUARDRAILS = logging.getLogger("mdstream.guardrails")

#: Prefix of the attributes that a record has beside those of `logging.LogRecord`, which other libraries extend too.
PREFIX = "mdstream_"

_MAX_LENGTH = 200
_UNPRINTABLE = re.compile(r"[^\x20-\x7e…]")
_CODE = re.compile(r"[\w.:-]{1,64}")


def log(logger: logging.Logger, level: int, event: str, message: str, fields: Mapping[str, Any]) -> None:
    """Log a message with structured fields; fields that are `None` are left out.

    Args:
        logger: One of the loggers of this module.
        level: Level of the record.
        event: What happened, for filters: the field `mdstream_event`.
        message: The readable line.
        fields: Further fields, without their prefix.
    """
    extra = {f"{PREFIX}{name}": value for name, value in fields.items() if value is not None}
    logger.log(level, "%s", message, extra={f"{PREFIX}event": event, **extra}, stacklevel=2)


def to_field(value: object) -> str | None:
    """Convert a name or an id to one short line of ASCII, which cannot forge other lines; `None` if it is empty.

    >>> to_field("m\\n2026-01-01 INFO forged"), to_field(None)
    ('m?2026-01-01 INFO forged', None)
    """
    return to_line(str(value), _MAX_LENGTH) if value else None


def to_line(text: str, limit: int = 4000) -> str:
    """Return the text as one line of at most `limit` characters: printable ASCII, and the `…` of redacted values.

    >>> to_line("{'set-cookie': '…'}\\x1b[31m")
    "{'set-cookie': '…'}?[31m"
    """
    return _UNPRINTABLE.sub("?", text[:limit])


def to_code(value: object) -> str | None:
    """Return an error code; `None` if it is none, since a service may have put a text in its place.

    >>> to_code("TooManyRequests"), to_code("your prompt 'Tell me …' is invalid")
    ('TooManyRequests', None)
    """
    return str(value) if value and _CODE.fullmatch(str(value)) else None


def describe_error(error: BaseException) -> str:
    """Describe an error by its class, status and code. Its message may quote a prompt, an output or a credential.

    >>> describe_error(ValueError("a secret"))
    'ValueError'
    """
    facts = (type(error).__name__, getattr(error, "status", None), to_code(getattr(error, "code", None)))
    return " ".join(dict.fromkeys(str(fact) for fact in facts if fact))


def error_fields(error: BaseException) -> dict[str, Any]:
    """Return the fields of an error."""
    return {
        "error": type(error).__name__,
        "error_code": to_code(getattr(error, "code", None)),
        "status": getattr(error, "status", None),
        "request_id": to_field(getattr(error, "request_id", None)),
    }


def configure_from_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Write records to stderr if `MDSTREAM_LOG` is set; warn if its value is no level. Called once, at import."""
    CALLS.addHandler(logging.NullHandler())
    if not (value := environment.get(VARIABLE, "").strip()):
        return
    level = _LEVELS.get(value.lower())
    if level is None:
        names = ", ".join(_LEVELS)
        message = f"{VARIABLE} is no log level: nothing is logged because of it (hint: set it to one of {names})"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_is_unhandled)
    CALLS.addHandler(handler)
    CALLS.setLevel(level)


def _is_unhandled(record: logging.LogRecord) -> bool:
    """Whether no handler of the root logger writes this record: then the application's own lines would be doubled."""
    return not any(record.levelno >= handler.level for handler in logging.getLogger().handlers)


configure_from_environment()
