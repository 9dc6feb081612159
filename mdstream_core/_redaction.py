"""What of a request, a response and an error may be shown: names of headers, a few values, addresses without secrets.

Values of headers are shown by an allow-list. A deny-list of names cannot keep secrets: a key fits under any name.
"""

import hashlib
import inspect
import os
import re
import secrets
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from opcode import opmap
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from mdstream_core._choices import suggestion

if TYPE_CHECKING:
    from pydantic_core import ValidationError

#: Stands for a value that is not shown. No header can have it: it is outside ASCII.
HIDDEN = "…"

#: The environment variable of the key under which headers are digested for caches that outlive a process.
CACHE_KEY = "MDSTREAM_CACHE_KEY"

_SECRET_PARTS = ("authorization", "cookie", "token", "secret", "appcode", "password", "credential", "key", "signature")

#: Response headers whose values may be shown, in general (RFC 9110) …
_GENERAL_HEADERS = frozenset(
    "accept-ranges age allow cache-control connection content-encoding content-language content-length content-type "
    "date expires keep-alive last-modified retry-after retry-after-ms server te trailer transfer-encoding upgrade vary "
    "via x-content-type-options".split()
)
#: … of the services and of model servers: ids of requests, error types, times and counts …
_SERVICE_HEADERS = frozenset(
    "opc-request-id opc-client-request-id x-amzn-requestid x-amzn-request-id x-amz-request-id x-amzn-errortype "
    "x-amzn-error-type x-amzn-invoked-production-variant x-amzn-sagemaker-content-type x-amzn-trace-id x-amz-cf-id "
    "x-amz-date x-request-id x-correlation-id x-sdk-date x-apig-latency x-apig-upstream-latency "
    "x-envoy-upstream-service-time openai-processing-ms openai-version x-process-time x-compute-type "
    "x-compute-time x-compute-characters x-total-time x-validation-time x-queue-time x-inference-time "
    "x-time-per-token x-prompt-tokens x-generated-tokens".split()
)
_RATE_LIMIT_PREFIXES = ("x-ratelimit-", "ratelimit-", "x-apig-ratelimit-")
#: … and how OCI's trailers end in which a stream's failure is reported, without punctuation.
_FAILURE_FIELDS = ("streamfailure", "errorcode", "httpcode", "errorreason")

#: Headers whose values are URLs, which are shown without what may hold a credential.
_URLS = frozenset({"location", "content-location", "refresh"})

#: A URL's user and password; and what stands behind its path: parameters, query, fragment.
_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
_AFTER_PATH = re.compile(r"[;?#].*", re.DOTALL)

#: A URL in a text, or a path with something behind it.
_URL_IN_TEXT = re.compile(r"(?:https?:)?//[^\s\"'<>]+|/[^\s\"'<>]*[;?#][^\s\"'<>]*", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is a credential. That it does not say so means nothing.

    >>> is_secret_name("Authorization"), is_secret_name("X-Api-Key"), is_secret_name("opc-request-id")
    (True, True, False)
    """
    return any(part in name.lower() for part in _SECRET_PARTS)


def is_safe_header(name: str) -> bool:
    """Whether the value of a response header of this name may be shown.

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
    """A copy of response headers that may be shown: `…` for values that are not on the list of those that may.

    >>> redact_headers({"retry-after": "3", "set-cookie": "id=1", "location": "https://bob:pw@host/path?token=x"})
    {'retry-after': '3', 'set-cookie': '…', 'location': 'https://host/path?…'}
    """
    return {name: _safe_value(name, value) for name, value in headers.items()}


def _safe_value(name: str, value: str) -> str:
    if name.lower() in _URLS:
        return redact_url(value)
    return value if is_safe_header(name) else HIDDEN


def redact_url(url: str) -> str:
    """A URL without what may hold a credential; `…` stands for what was left out behind the path.

    >>> redact_url("https://bob:s3cret@host/path?token=x")
    'https://host/path?…'
    """
    bare = _USERINFO.sub("", url)
    return _AFTER_PATH.sub(lambda match: f"{match[0][0]}{HIDDEN}", bare)


def redact_urls(text: str) -> str:
    """A text whose URLs are without what may hold a credential.

    >>> redact_urls("Found. Redirecting to https://bob:s3cret@host/path?token=x")
    'Found. Redirecting to https://host/path?…'
    """
    return _URL_IN_TEXT.sub(lambda match: redact_url(match[0]), text)


class RequestHeaders(dict[str, str]):
    """Headers that are sent: a dictionary whose repr shows no value. Debuggers and tracers call repr of locals."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, HIDDEN))


class ResponseHeaders(dict[str, str]):
    """Headers that came: a dictionary whose repr shows the values that may be shown."""

    def __repr__(self) -> str:
        return repr(redact_headers(self))


class ResponseTrailers(tuple[tuple[str, str], ...]):
    """Trailers that came, field by field: a tuple whose repr shows the values that may be shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr([(name, _safe_value(name, value)) for name, value in self])


class SecretText(str):
    """A text whose repr does not show it, for locals of functions that may raise."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)


def _immutable(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("SecretHeaders cannot be changed: build new ones")


class SecretHeaders(dict[str, str]):
    """A user's headers on their way through a framework: as a dictionary they have names, and `…` for each value.

    So whatever copies, prints, dumps or pickles them (tracers, caches, checkpoints) has names only. The repr has a
    keyed digest of the values too, which tells headers apart and gives none away; see `digest`.

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
        """Headers whose values were left out: what a pickle brings back."""
        headers = cls({})
        dict.update(headers, dict.fromkeys(names, HIDDEN))
        headers._values = None
        return headers

    def get_secret_values(self) -> dict[str, str]:
        """The headers with their values; `…` for each where a pickle left them out."""
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
        """The same object: it cannot be changed."""
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self).from_names, (tuple(self),)

    __setitem__ = __delitem__ = __ior__ = _immutable
    update = pop = popitem = clear = setdefault = _immutable


#: The key of digests where the environment names none; child processes that were forked share it.
_KEY = secrets.token_bytes(32)


def digest(headers: Mapping[str, Any]) -> str:
    """A keyed digest (BLAKE2b, 16 bytes) of headers: equal for equal ones, and of no use without the key.

    The key is random for each process. For a cache that outlives a process set `MDSTREAM_CACHE_KEY` to a random text of
    32 characters or more: whoever has both the key and a digest can try out values.

    >>> digest({"x-a": "1"}) == digest({"X-A": "1"}), digest({"x-a": "1"}) == digest({"x-a": "2"})
    (True, False)
    """
    if not headers:
        return ""
    given = os.environ.get(CACHE_KEY, "")
    key = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest() if given else _KEY
    text = repr(sorted((name.lower(), str(value)) for name, value in headers.items()))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()


def fingerprint(headers: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies headers where models are told apart: their names, and a digest of their values."""
    return {"names": sorted(headers), "digest": digest(headers)} if headers else {}


def iter_causes(
    error: BaseException, is_foreign: Callable[[BaseException], bool] = lambda _: False
) -> Iterator[BaseException]:
    """An error with all that it was caused by, each once.

    Args:
        error: Where to begin.
        is_foreign: Whether an error in whose handling another one happened is left out, with its own causes.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        context = one.__context__
        waiting += [one.__cause__, None if context is None or is_foreign(context) else context]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()


def remove_credentials(error: BaseException) -> None:
    """Take credentials out of an error and its causes: locals of functions that have ended, requests, responses.

    The traceback keeps its files and lines. Requests of httpx are replaced by others without headers' values, body, and
    what stands behind the path; those of other libraries are removed. An error that a caller of ours is handling, while
    this one happened, stays as it is.
    """
    callers = _callers()
    for one in iter_causes(error, lambda context: _is_handled_by(context, callers)):
        _clear_locals(one.__traceback__)
        response = getattr(one, "response", None)
        if isinstance(response, dict):  # botocore's
            response.get("ResponseMetadata", {}).pop("HTTPHeaders", None)
        elif response is not None and hasattr(response, "request"):
            _replace(one, "response", _bare_response(response))
        try:
            request = getattr(one, "request", None)
        except RuntimeError:  # httpx: it has none
            continue
        if request is not None:
            _replace(one, "request", _bare_request(request))


#: Packages whose functions have credentials in their locals.
_WITH_CREDENTIALS = frozenset(
    "mdstream_core langchain_mdstream llamaindex_mdstream httpx httpx2 httpcore h11 anyio contextlib asyncio ssl "
    "oci botocore boto3 requests urllib3".split()
)

_YIELD = opmap["YIELD_VALUE"]
_CAN_WAIT = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _has_credentials(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _WITH_CREDENTIALS


def _callers() -> set[FrameType]:
    """The functions that are being executed and are no part of a request."""
    frames: set[FrameType] = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not _has_credentials(frame):
            frames.add(frame)
        frame = frame.f_back
    return frames


def _is_handled_by(error: BaseException, callers: set[FrameType]) -> bool:
    at = error.__traceback__
    return at is not None and at.tb_frame in callers


def _clear_locals(at: TracebackType | None) -> None:
    while at is not None:
        if not _may_go_on(at.tb_frame):
            with suppress(RuntimeError):  # it is being executed
                at.tb_frame.clear()
        at = at.tb_next


def _may_go_on(frame: FrameType) -> bool:
    """Whether a frame may be that of a coroutine or generator that waits: until Python 3.12, `clear` would end it.

    An error that is raised more than once has the frames of all who caught it.
    """
    if not frame.f_code.co_flags & _CAN_WAIT or frame.f_lasti < 0 or _has_credentials(frame):
        return False
    return frame.f_code.co_code[frame.f_lasti] == _YIELD


def without_inputs(error: "ValidationError", fields: Collection[str] = ()) -> "ValidationError":
    """The same error without the values that were given, which `errors()` and `json()` would show.

    Args:
        fields: The names that the constructor accepts: an unknown one is reported with the nearest of them.
    """
    from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError  # noqa: PLC0415  (who has no error needs none)

    details = []
    for one in error.errors(include_url=False, include_input=False):
        context = one.get("ctx", {})
        if isinstance(cause := context.get("error"), Exception):
            remove_credentials(cause)
        message = one["msg"]
        if one["type"] == "extra_forbidden":
            message += suggestion(str(one["loc"][-1]), fields)
        kind = PydanticCustomError(one["type"], "{message}", {"message": message, **context})
        details.append(InitErrorDetails(type=kind, loc=one["loc"], input=None))
    return ValidationError.from_exception_data(error.title, details, hide_input=True)


class _CredentialScrubber:
    """Takes credentials out of whatever is raised inside; see `remove_credentials`."""

    def __enter__(self) -> None:
        """Nothing is to be prepared."""

    def __exit__(self, kind: object, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, Exception):
            remove_credentials(error)


#: A context manager, around code that has credentials in locals.
scrub_credentials = _CredentialScrubber()


def _replace(error: BaseException, name: str, value: Any) -> None:
    try:
        setattr(error, name, value)
    except AttributeError:  # a property of somebody else's
        error.__dict__.pop(f"_{name}", None)


def _is_httpx(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in {"httpx", "httpx2"}


def _bare_request(request: Any) -> Any:
    if not _is_httpx(request):
        return None
    names = dict.fromkeys(request.headers, "[secure]")  # as httpx's own reprs show it
    url = _AFTER_PATH.sub("", _USERINFO.sub("", str(request.url)))
    return type(request)(request.method, url, headers=names)


def _bare_response(response: Any) -> Any:
    if not _is_httpx(response):
        return None
    fields = {name: value for name, value in response.headers.items() if is_safe_header(name)}
    request = _bare_request(response.request) if getattr(response, "_request", None) is not None else None
    names = {name: value for name, value in fields.items() if name not in {"content-encoding", "transfer-encoding"}}
    said = {"reason_phrase": response.reason_phrase.encode("ascii", "replace")}
    return type(response)(response.status_code, headers=names, request=request, extensions=said)
