"""Planted secrets, each with a marker of its own, and a search for them in whatever is shown."""

import base64
import logging
import pickle
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from _auth_oci import FINGERPRINT, KEY, pem


def planted(name: str) -> str:
    """A secret that is found again."""
    return f"PLANTED0{name}"


#: Each secret that a user or a server plants. The matrix gives all that fit a model at once.
API_KEY, PASSPHRASE, PROXY_PASSWORD, CERT_PASSWORD = map(planted, ("ApiKey", "Passphrase", "Proxy", "Cert"))
AWS_SECRET, AWS_TOKEN = map(planted, ("AwsSecret", "AwsSession"))
TOKEN, PASSWORD, SK, SECURITY_TOKEN = map(planted, ("IamToken", "Password", "Sk", "SecurityToken"))
APP_CODE, APP_SECRET = map(planted, ("AppCodeSigner", "AppSecret"))
SET_COOKIE, RESPONSE_HEADER, REDIRECT_USER, REDIRECT_QUERY = map(planted, ("Cookie", "Answer", "User", "Query"))
#: Headers under innocent names; one that SageMaker sends on; one that is on the list of what responses may show.
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
#: `PLANTED0`, as it looks in base64 at each offset in a text.
_ENCODED = tuple(base64.b64encode(b"\0" * at + b"PLANTED0")[at + 1 if at else 0 : 9].decode() for at in range(3))
_FOUND = re.compile("|".join((r"PLANTED0\w*", *map(re.escape, (*_ENCODED, *_KEY_LINES)))))


def leaks(where: str, *shown: Any) -> list[tuple[str, str]]:
    """What of the planted is shown, and where."""
    texts = (one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in shown)
    return [
        (where, text[max(0, found.start() - 80) : found.end()]) for text in texts for found in _FOUND.finditer(text)
    ]


class Recorder(logging.Handler):
    """All log records as text, with their arguments."""

    def __init__(self) -> None:
        super().__init__(0)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name} {record.getMessage()} {record.args!r} {record.exc_text}")


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error with its causes and contexts."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    return iter(seen)


def error_leaks(error: BaseException) -> Iterator[tuple[str, str]]:
    """What of an error and its causes shows: words, attributes to their ground, pickle, tracebacks with locals."""
    for one in chain(error):
        where = type(one).__qualname__
        yield from leaks(where, str(one), repr(one), one.args, vars(one))
        for value in _inside(one):
            yield from leaks(f"{where}: inside, {type(value).__name__}", repr(value), value)
    yield from leaks("pickle of the error", pickle.dumps(error))
    for shows in (False, True):
        lines = traceback.TracebackException.from_exception(error, capture_locals=shows).format()
        yield from leaks(f"traceback, locals={shows}", "".join(lines))


def _inside(error: BaseException) -> Iterator[Any]:
    """All that hangs on an error: attributes, their attributes, raw headers, bodies."""
    seen: set[int] = set()
    waiting: list[Any] = [*vars(error).values(), *error.args]
    while waiting and len(seen) < 5000:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | int | float | None):
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, str | bytes):
            continue
        if isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += list(value)
        slots = [getattr(value, name, None) for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        waiting += [*getattr(value, "__dict__", {}).values(), *slots]
