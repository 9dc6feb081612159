"""Secrets with markers, and a search for them in texts, errors and pickles."""

import base64
import logging
import pickle
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from _auth_oci import FINGERPRINT, KEY, pem


def planted(name: str) -> str:
    """Create a secret with a marker."""
    return f"PLANTED0{name}"


#: The secrets of a user and of a server. A model gets all that it has fields for at once.
API_KEY, PASSPHRASE, PROXY_PASSWORD, CERT_PASSWORD = map(planted, ("ApiKey", "Passphrase", "Proxy", "Cert"))
AWS_SECRET, AWS_TOKEN = map(planted, ("AwsSecret", "AwsSession"))
TOKEN, PASSWORD, SK, SECURITY_TOKEN = map(planted, ("IamToken", "Password", "Sk", "SecurityToken"))
APP_CODE, APP_SECRET = map(planted, ("AppCode", "AppSecret"))
SET_COOKIE, RESPONSE_HEADER, REDIRECT_USER, REDIRECT_QUERY = map(planted, ("Cookie", "ResponseHeader", "User", "Query"))
#: Headers whose names do not look secret; one that SageMaker forwards; one of those that responses may show.
HEADERS = {
    **{
        name: planted(name.replace("-", ""))
        for name in ("X-Auth", "X-JWT", "X-Pass", "X-Session-Id", "Proxy-Auth", "X-Amzn-Oidc-Data", "User-Agent")
    },
    "Cookie": f"id={planted('OwnCookie')}",
}
EXTRA = {"X-Call": planted("Call"), "X-Amzn-SageMaker-Custom-Attributes": planted("Attributes")}
BOUND = {"X-Bound": planted("Bound")}

PEM = pem(KEY, PASSPHRASE)
CONFIG = {
    "user": "ocid1.user.oc1..bbbb",
    "tenancy": "ocid1.tenancy.oc1..aaaa",
    "fingerprint": FINGERPRINT,
    "region": "us-ashburn-1",
    "key_content": PEM,
    "pass_phrase": PASSPHRASE,
}

_KEY_LINES = tuple(line for line in PEM.splitlines()[1:-1] if len(line) > 40)
#: `PLANTED0` in base64, for each offset in a text.
_ENCODED = tuple(
    base64.b64encode(b"\0" * offset + b"PLANTED0")[offset + 1 if offset else 0 : 9].decode() for offset in range(3)
)
_PATTERN = re.compile("|".join((r"PLANTED0\w*", *map(re.escape, (*_ENCODED, *_KEY_LINES)))))


def leaks(where: str, *values: Any) -> list[tuple[str, str]]:
    """Find planted secrets in values; return each with its context and with `where`."""
    texts = (value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values)
    return [
        (where, text[max(0, match.start() - 80) : match.end()]) for text in texts for match in _PATTERN.finditer(text)
    ]


class Recorder(logging.Handler):
    """Log handler that collects records as text, with their arguments and fields."""

    def __init__(self) -> None:
        super().__init__(0)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name} {record.getMessage()} {record.args!r} {record.exc_text} {vars(record)!r}")


def chain(error: BaseException) -> Iterator[BaseException]:
    """Iterate over an error, its causes and contexts."""
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is not None and one not in seen:
            seen.append(one)
            pending += [one.__cause__, one.__context__]
    return iter(seen)


def error_leaks(error: BaseException) -> Iterator[tuple[str, str]]:
    """Find leaks in an error and its causes: messages, nested attributes, pickle, tracebacks with locals."""
    for one in chain(error):
        where = type(one).__qualname__
        yield from leaks(where, str(one), repr(one), one.args, vars(one))
        for value in _nested_values(one):
            yield from leaks(f"{where}: inside, {type(value).__name__}", repr(value), value)
    yield from leaks("pickle of the error", pickle.dumps(error))
    for capture in (False, True):
        lines = traceback.TracebackException.from_exception(error, capture_locals=capture).format()
        yield from leaks(f"traceback, locals={capture}", "".join(lines))


def _nested_values(error: BaseException) -> Iterator[Any]:
    """Iterate over all values that an error refers to: attributes, their attributes, raw headers, bodies."""
    seen: set[int] = set()
    pending: list[Any] = [*vars(error).values(), *error.args]
    while pending and len(seen) < 5000:
        value = pending.pop()
        if id(value) in seen or isinstance(value, type | int | float | None):
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, str | bytes):
            continue
        if isinstance(value, Mapping):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            pending += list(value)
        slots = [getattr(value, name, None) for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        pending += [*getattr(value, "__dict__", {}).values(), *slots]
