"""Redact credentials in headers, URLs and exceptions.

Header values are displayed by an allow-list of names. A deny-list cannot protect secrets: a key may have any name.
"""

import hashlib
import inspect
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from opcode import opmap
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

#: Replaces a value that is not displayed. No header can have this value, because it is not ASCII.
HIDDEN = "…"

#: Environment variable with the key for digests of headers, for caches that outlive a process.
CACHE_KEY = "MDSTREAM_CACHE_KEY"

_SECRET_PARTS = ("authorization", "cookie", "token", "secret", "appcode", "password", "credential", "key", "signature")

#: Response headers whose values may be displayed: general ones (RFC 9110) …
_GENERAL_HEADERS = frozenset(
    "accept-ranges age allow cache-control connection content-encoding content-language content-length content-type "
    "date expires keep-alive last-modified retry-after retry-after-ms server te trailer transfer-encoding upgrade vary "
    "via x-content-type-options".split()
)
#: … those of services and model servers: request ids, error types, times and counts …
_SERVICE_HEADERS = frozenset(
    "opc-request-id opc-client-request-id x-amzn-requestid x-amzn-request-id x-amz-request-id x-amzn-errortype "
    "x-amzn-error-type x-amzn-invoked-production-variant x-amzn-sagemaker-content-type x-amzn-trace-id x-amz-cf-id "
    "x-amz-date x-request-id x-correlation-id x-sdk-date x-apig-latency x-apig-upstream-latency "
    "x-envoy-upstream-service-time openai-processing-ms openai-version x-process-time x-compute-type "
    "x-compute-time x-compute-characters x-total-time x-validation-time x-queue-time x-inference-time "
    "x-time-per-token x-prompt-tokens x-generated-tokens".split()
)
_RATE_LIMIT_PREFIXES = ("x-ratelimit-", "ratelimit-", "x-apig-ratelimit-")
#: … and the endings, without punctuation, of OCI's trailers that report a failed stream.
_FAILURE_FIELDS = ("streamfailure", "errorcode", "httpcode", "errorreason")

#: Headers whose values are URLs; these are displayed without the parts that may contain a credential.
_URL_HEADERS = frozenset({"location", "content-location", "refresh"})

#: The user and password of a URL; and everything after its path: parameters, query, fragment.
_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
_AFTER_PATH = re.compile(r"[;?#].*", re.DOTALL)

#: A URL in a text, or a path with parameters, a query or a fragment.
_URL_IN_TEXT = re.compile(r"(?:https?:)?//[^\s\"'<>]+|/[^\s\"'<>]*[;?#][^\s\"'<>]*", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a header's name implies that its value is a credential. Other headers may contain one too.

    >>> is_secret_name("Authorization"), is_secret_name("X-Api-Key"), is_secret_name("opc-request-id")
    (True, True, False)
    """
    return any(part in name.lower() for part in _SECRET_PARTS)


def is_safe_header(name: str) -> bool:
    """Whether the value of a response header with this name may be displayed.

    >>> is_safe_header("Retry-After"), is_safe_header("X-Ratelimit-Remaining"), is_safe_header("X-Session-Id")
    (True, True, False)
    """
    lower = name.lower()
    return (
        lower in _GENERAL_HEADERS
        or lower in _SERVICE_HEADERS
        or lower.startswith(_RATE_LIMIT_PREFIXES)
        or re.sub(r"[^a-z]", "", lower).endswith(_FAILURE_FIELDS)
    )


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Copy response headers for display; `…` replaces the values of headers that are not on the allow-list.

    >>> redact_headers({"retry-after": "3", "set-cookie": "id=1", "location": "https://bob:pw@host/path?token=x"})
    {'retry-after': '3', 'set-cookie': '…', 'location': 'https://host/path?…'}
    """
    return {name: _safe_value(name, value) for name, value in headers.items()}


def _safe_value(name: str, value: str) -> str:
    if name.lower() in _URL_HEADERS:
        return redact_url(value)
    return value if is_safe_header(name) else HIDDEN


def redact_url(url: str) -> str:
    """Remove the parts of a URL that may contain a credential; `…` replaces everything after the path.

    >>> redact_url("https://bob:s3cret@host/path?token=x")
    'https://host/path?…'
    """
    bare = _USERINFO.sub("", url)
    return _AFTER_PATH.sub(lambda match: f"{match[0][0]}{HIDDEN}", bare)


def redact_urls(text: str) -> str:
    """Redact the URLs in a text.

    >>> redact_urls("Found. Redirecting to https://bob:s3cret@host/path?token=x")
    'Found. Redirecting to https://host/path?…'
    """
    return _URL_IN_TEXT.sub(lambda match: redact_url(match[0]), text)


class RequestHeaders(dict[str, str]):
    """Request headers: a dictionary whose repr shows no values, because debuggers and tracers call repr on locals."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, HIDDEN))


class ResponseHeaders(dict[str, str]):
    """Response headers: a dictionary whose repr shows only the values on the allow-list."""

    def __repr__(self) -> str:
        return repr(redact_headers(self))


class ResponseTrailers(tuple[tuple[str, str], ...]):
    """Response trailers: a tuple of (name, value) pairs whose repr shows only the values on the allow-list."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr([(name, _safe_value(name, value)) for name, value in self])


class SecretText(str):
    """A string whose repr does not show it, for local variables of functions that may raise."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)


def _immutable(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("SecretHeaders is immutable (hint: create a new instance)")


class SecretHeaders(dict[str, str]):
    """A user's headers while they pass through a framework: a dictionary with `…` in place of each value.

    Tracers, caches and checkpoints that copy, print, dump or pickle it get names only. Its repr contains a keyed digest
    of the values, which distinguishes headers without revealing them; see `digest`.

    Args:
        headers: Names and values.

    Example:
        >>> headers = SecretHeaders({"x-tenant": "hush"})
        >>> dict(headers), headers.get_secret_values()["x-tenant"]
        ({'x-tenant': '…'}, 'hush')
    """

    __slots__ = ("_values",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        values = headers._values if isinstance(headers, SecretHeaders) else RequestHeaders(headers)
        super().__init__(dict.fromkeys(headers, HIDDEN))
        self._values: RequestHeaders | None = values

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Self:
        """Create headers without values, as they are after unpickling."""
        headers = cls({})
        dict.update(headers, dict.fromkeys(names, HIDDEN))
        headers._values = None
        return headers

    def get_secret_values(self) -> dict[str, str]:
        """Return the headers with their values; after unpickling each value is `…`."""
        return RequestHeaders(self if self._values is None else self._values)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(repr, self))} {digest(self.get_secret_values())}>"

    def __eq__(self, other: object) -> bool:
        theirs = other.get_secret_values() if isinstance(other, SecretHeaders) else other
        return dict(self.get_secret_values()) == theirs

    __hash__ = None

    def __or__(self, other: Mapping[str, str]) -> "SecretHeaders":  # type: ignore[override]
        theirs = other.get_secret_values() if isinstance(other, SecretHeaders) else other
        return type(self)({**self.get_secret_values(), **theirs})

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def copy(self) -> Self:
        """Return the same object, which is immutable."""
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self).from_names, (tuple(self),)

    __setitem__ = __delitem__ = __ior__ = _immutable
    update = pop = popitem = clear = setdefault = _immutable


#: Key of digests if the environment has none; forked processes share it.
_KEY = secrets.token_bytes(32)


def digest(headers: Mapping[str, Any]) -> str:
    """Compute a keyed digest (BLAKE2b, 16 bytes) of headers, in hexadecimal.

    The key is random for each process. For a cache that outlives a process, set `MDSTREAM_CACHE_KEY` to a random string
    of 32 characters or more. Keep it secret: with the key and a digest, values can be guessed and verified.

    >>> digest({"x-a": "1"}) == digest({"X-A": "1"}), digest({"x-a": "1"}) == digest({"x-a": "2"})
    (True, False)
    """
    if not headers:
        return ""
    secret = os.environ.get(CACHE_KEY, "")
    key = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest() if secret else _KEY
    text = repr(sorted((name.lower(), str(value)) for name, value in headers.items()))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()


def fingerprint(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies headers in the cache key of a model: their names, and a digest of their values."""
    return {"names": sorted(headers), "digest": digest(headers)} if headers else {}


def iter_causes(
    error: BaseException, is_foreign: Callable[[BaseException], bool] = lambda _: False
) -> Iterator[BaseException]:
    """Iterate over an error and its causes, contexts and grouped exceptions, each once.

    Args:
        error: The first error.
        is_foreign: Whether to skip a context (an exception during whose handling another one was raised) and its own
            causes.
    """
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        context = current.__context__
        pending += [current.__cause__, None if context is None or is_foreign(context) else context]
        pending += current.exceptions if isinstance(current, BaseExceptionGroup) else ()


def remove_credentials(error: BaseException) -> None:
    """Remove credentials from an error and its causes: local variables of finished functions, requests, responses.

    The traceback keeps its files and lines. Requests of httpx are replaced by ones without header values, body, and
    everything after the path; those of other libraries are removed. An error that calling code is handling while this
    one is raised stays unchanged.
    """
    callers = _callers()
    for cause in iter_causes(error, lambda context: _is_handled_by(context, callers)):
        _clear_locals(cause.__traceback__)
        response = getattr(cause, "response", None)
        if isinstance(response, dict):  # botocore's
            response.get("ResponseMetadata", {}).pop("HTTPHeaders", None)
        elif response is not None and hasattr(response, "request"):
            _replace(cause, "response", _redact_response(response))
        try:
            request = getattr(cause, "request", None)
        except RuntimeError:  # httpx: it has none
            continue
        if request is not None:
            _replace(cause, "request", _redact_request(request))


#: Packages whose functions may have credentials in local variables.
_WITH_CREDENTIALS = frozenset(
    "mdstream_core langchain_mdstream llamaindex_mdstream httpx httpx2 httpcore h11 anyio contextlib asyncio ssl "
    "oci botocore boto3 requests urllib3".split()
)

_YIELD = opmap["YIELD_VALUE"]
_CAN_WAIT = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _has_credentials(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _WITH_CREDENTIALS


def _callers() -> set[FrameType]:
    """Return the frames of the running functions that are not part of a request."""
    frames: set[FrameType] = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not _has_credentials(frame):
            frames.add(frame)
        frame = frame.f_back
    return frames


def _is_handled_by(error: BaseException, callers: set[FrameType]) -> bool:
    traceback = error.__traceback__
    return traceback is not None and traceback.tb_frame in callers


def _clear_locals(traceback: TracebackType | None) -> None:
    while traceback is not None:
        if not _may_be_suspended(traceback.tb_frame):
            with suppress(RuntimeError):  # the frame is running
                traceback.tb_frame.clear()
        traceback = traceback.tb_next


def _may_be_suspended(frame: FrameType) -> bool:
    """Whether a frame may belong to a suspended coroutine or generator: until Python 3.12, `clear` would close it.

    The traceback of an error that is raised more than once has frames of every function that caught it.
    """
    if not frame.f_code.co_flags & _CAN_WAIT or frame.f_lasti < 0 or _has_credentials(frame):
        return False
    return frame.f_code.co_code[frame.f_lasti] == _YIELD


def scrub_error(error: BaseException) -> None:
    """Remove credentials from an error that is raised on; in steps of each request, in place of `scrub_credentials`."""
    if isinstance(error, Exception):
        remove_credentials(error)


class _CredentialScrubber:
    """Context manager that removes credentials from exceptions raised inside; see `remove_credentials`."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is not None:
            scrub_error(error)


#: Use as `with scrub_credentials:` around code that has credentials in local variables.
scrub_credentials = _CredentialScrubber()


def _replace(error: BaseException, name: str, value: Any) -> None:
    try:
        setattr(error, name, value)
    except AttributeError:  # a read-only property of another library
        error.__dict__.pop(f"_{name}", None)


def _is_httpx(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in {"httpx", "httpx2"}


def _redact_request(request: Any) -> Any:
    if not _is_httpx(request):
        return None
    headers = dict.fromkeys(request.headers, "[secure]")  # as in httpx's own reprs
    url = _AFTER_PATH.sub("", _USERINFO.sub("", str(request.url)))
    return type(request)(request.method, url, headers=headers)


def _redact_response(response: Any) -> Any:
    if not _is_httpx(response):
        return None
    framing = {"content-encoding", "transfer-encoding"}  # the copy has no body
    headers = {name: value for name, value in response.headers.items() if is_safe_header(name) and name not in framing}
    request = _redact_request(response.request) if getattr(response, "_request", None) is not None else None
    extensions = {"reason_phrase": response.reason_phrase.encode("ascii", "replace")}
    return type(response)(response.status_code, headers=headers, request=request, extensions=extensions)
