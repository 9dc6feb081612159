"""What a platform is, and what all have in common."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from mdstream_core._version import __version__
from mdstream_core.errors import ContextOverflow, ErrorBody, MalformedStream, ServiceError, describes_context_overflow
from mdstream_core.http import Request, ResponseHead, Timeout, redact_url, redact_urls
from mdstream_core.wire import FrameDecoder
from mdstream_core.wire.jsonlines import JSONLinesDecoder, LabelledDocumentDecoder, LabelledStreamDecoder

Trailers = Sequence[tuple[str, str]]

#: What to do about a refusal: its status, a word of its code or message, the cure. The first that fits is told.
Hints = Sequence[tuple[int, str, str]]

#: What a model server tells of itself: routes beside the one that somebody's own `route` is for.
SIDE_ROUTES = frozenset({"/tokenize", "/v1/models"})

USER_AGENT = f"mdstream/{__version__}"

_DECODERS: dict[str, type[FrameDecoder]] = {
    "application/json": LabelledDocumentDecoder,
    "application/jsonlines": JSONLinesDecoder,
    "application/x-ndjson": JSONLinesDecoder,
    "application/jsonl": JSONLinesDecoder,
}


class Platform(Protocol):
    """One service. Immutable, and shared by threads and tasks."""

    @property
    def name(self) -> str:
        """What the service is called."""
        ...

    @property
    def base_url(self) -> str:
        """The URL that all its requests begin with."""
        ...

    @property
    def reports_failure_after_body(self) -> bool:
        """Whether the service says only after the answer how it went, so that the body must be read to its end."""
        ...

    @property
    def has_trailers(self) -> bool:
        """Whether it says so in HTTP trailers, which most clients cannot see."""
        ...

    @property
    def drain_timeout(self) -> float:
        """Seconds to wait for the end of the body once the answer is over."""
        ...

    @property
    def max_request_bytes(self) -> int | None:
        """The largest request body, in bytes; `None` where no limit is known."""
        ...

    def default_timeout(self, *, stream: bool) -> Timeout:
        """How long to wait where nothing is said: a little longer than the service itself allows."""
        ...

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body that is sent: the dialect's own, or the service's envelope with that in it."""
        ...

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """The unsigned request: a POST, or a GET where there is no content.

        Raises `InvalidRequest` if the service would not take it.
        """
        ...

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """How this answer is framed. Raises `MalformedStream` if it is no answer at all."""
        ...

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """The error that an error status and its body spell."""
        ...

    def check_trailers(self, trailers: Trailers) -> None:
        """Raise `StreamFailure` if the trailers say that the stream failed."""
        ...

    def request_id(self, head: ResponseHead) -> str | None:
        """The service's id of the request."""
        ...


def create_frame_decoder(head: ResponseHead) -> FrameDecoder:
    """The framing that a content type names; where it names none, the body shows what it is."""
    if head.content_type == "text/html":
        raise MalformedStream(
            "the body is no model's answer: content-type is text/html; check that the endpoint is a model's and not a "
            "page's",
            status=head.status,
        )
    return _DECODERS.get(head.content_type, LabelledStreamDecoder)()


def parse_retry_after(head: ResponseHead) -> float | None:
    """What `Retry-After` asks for: a number of seconds, or a date, which is measured by the answer's own clock.

    Azure and OpenAI also send `retry-after-ms` (`openai` SDK, `_base_client.py`). An answer without a readable `Date`
    is measured by the clock of this machine.
    """
    if (precise := _number(head.headers.get("retry-after-ms", ""))) is not None:
        return precise / 1000
    wish = head.headers.get("retry-after", "")
    if (number := _number(wish)) is not None:
        return number
    until = _timestamp(wish)
    if until is None:
        return None
    now = _timestamp(head.headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None


def _timestamp(text: str) -> float | None:
    """An HTTP date (RFC 9110 §5.6.7, in all three spellings) in seconds since 1970; without a zone it is GMT."""
    try:
        date = parsedate_to_datetime(text.strip())
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def is_context_overflow(status: int, error_body: ErrorBody) -> bool:
    """Whether an error response says that the question is too long."""
    words = f"{error_body.code or ''} {error_body.message}"
    if status in _UNRELATED_STATUSES or status > 500 or not describes_context_overflow(words):
        return False
    if status in _FAILED_STATUSES and "out of memory" in words.lower():
        return False
    return status < 500 or _LENGTH_PATTERN.search(words) is not None


#: Statuses that say something else, whatever words stand beside: a key, a name, a late request, tokens per minute.
_UNRELATED_STATUSES = frozenset({401, 403, 404, 408, 429})

#: Statuses of a model server that failed, whose words may be about its own memory.
_FAILED_STATUSES = frozenset({424, 500})

#: What an internal error must say beside the words for a length: how many tokens there are, or that it is too
#: long. Any other number may be of the server's own configuration.
_LENGTH_PATTERN = re.compile(
    r"\d\W{0,3}(?:(?:inputs?|prompt)\W{1,2})?tokens?\b|exceed|(?:longer|greater) than|is too long", re.IGNORECASE
)


def redirect_hint(head: ResponseHead) -> str:
    """What to do about a redirect, with the URL that it leads to; a query may hold a key and is left out."""
    location = redact_url(head.headers.get("location", "").strip())
    target = f"it leads to {location[:500]}; give that URL" if location else "give the URL it leads to"
    return f"a redirect is not followed, because the request carries a credential: {target}"


def quote_body(head: ResponseHead, body: bytes, error_body: ErrorBody) -> tuple[str, str]:
    """The message and the body that an error may show; a redirect's text repeats the URL that it leads to."""
    message, raw = error_body.message, body[:4000].decode("utf-8", "replace")
    if 300 <= head.status < 400:
        return redact_urls(message), redact_urls(raw)
    return message, raw


def find_hint(head: ResponseHead, error_body: ErrorBody, hints: Hints) -> str:
    """The cure that a table has for a refusal, or nothing."""
    told = f"{error_body.code or ''} {error_body.message}"
    return next((hint for status, word, hint in hints if status == head.status and word in told), "")


def build_service_error(
    head: ResponseHead, body: bytes, error_body: ErrorBody, kind: type[ServiceError], hint: str
) -> ServiceError:
    """The error of a refused request. A question that is too long needs no other cure than its name."""
    if kind is ContextOverflow or is_context_overflow(head.status, error_body):
        kind, hint = ContextOverflow, ""
    elif 300 <= head.status < 400:
        hint = redirect_hint(head)
    words, raw = quote_body(head, body, error_body)
    message = f"{head.status}{f' {error_body.code}' if error_body.code else ''}: {words or 'no words'}"
    return kind(
        f"{message} ({hint})" if hint else message,
        code=error_body.code,
        status=head.status,
        raw=raw,
        retry_after=parse_retry_after(head),
    )
