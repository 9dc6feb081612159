"""The interface of a platform, and functions that all platforms share: framing, `Retry-After`, errors with hints."""

import os
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
from mdstream_core.wire.jsonlines import DocumentSniffingDecoder, JSONLinesDecoder, SniffingDecoder

Trailers = Sequence[tuple[str, str]]

#: Hints for error responses: status, a part of the code or message, and the hint. The first that matches is used.
Hints = Sequence[tuple[int, str, str]]

#: Routes with information about the model server; a user's own `route` does not replace them.
SERVER_INFO_ROUTES = frozenset({"/tokenize", "/v1/models"})

USER_AGENT = f"mdstream/{__version__}"

_DECODERS: dict[str, type[FrameDecoder]] = {
    "application/json": DocumentSniffingDecoder,
    "application/jsonlines": JSONLinesDecoder,
    "application/x-ndjson": JSONLinesDecoder,
    "application/jsonl": JSONLinesDecoder,
}


class Platform(Protocol):
    """A service that hosts models: its URLs, headers, framing of responses, and errors.

    Platforms are immutable values that threads and tasks share. The payload inside a request or response is built and
    decoded by the dialect.
    """

    @property
    def name(self) -> str:
        """Name of the service, such as `oci-model-deployment`: for hooks, OpenTelemetry and the command line.

        The framework packages and the emulator use the same name with underscores, such as `oci_model_deployment`.
        """
        ...

    @property
    def base_url(self) -> str:
        """The URL that all request URLs begin with, without a slash at its end."""
        ...

    @property
    def can_fail_after_output(self) -> bool:
        """Whether the service may report a failure, or send the usage, after the last event of the output.

        If true, the body is read to its end, and a lost connection or a timeout after the output is an error. It is
        false only for a service that may leave the connection open after its last event.
        """
        ...

    @property
    def has_trailers(self) -> bool:
        """Whether the service reports failures in HTTP trailers, which most HTTP clients do not expose."""
        ...

    @property
    def drain_timeout(self) -> float:
        """Seconds to wait for the end of the body after the last event of the output."""
        ...

    @property
    def max_request_bytes(self) -> int | None:
        """Maximum size of a request body in bytes; `None` if no limit is known."""
        ...

    def default_timeout(self, *, stream: bool) -> Timeout:
        """The timeouts of a call without explicit ones, slightly longer than the service's own limits.

        Args:
            stream: Whether the response is streamed.
        """
        ...

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wrap the dialect's payload in the service's envelope, if it has one.

        Args:
            route: The dialect's path, such as `/v1/chat/completions`.
            body: The dialect's payload.

        Raises:
            ValueError: A field of the platform that the envelope needs is missing.
        """
        ...

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """Build the unsigned request: a POST, or a GET if there is no content.

        Args:
            route: The dialect's path, such as `/v1/chat/completions`.
            content: The encoded body.
            stream: Whether the response is streamed.
            headers: Additional headers, which override those of the platform.

        Raises:
            InvalidRequest: The service would reject it, such as a body that is too large.
        """
        ...

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Create the decoder for the framing of a response.

        Args:
            head: Status and headers of the response.

        Raises:
            MalformedStream: The body cannot be a model's response, such as an HTML page.
        """
        ...

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """Create the error for an error response.

        Args:
            head: Status and headers of the response.
            body: Its body.
        """
        ...

    def check_trailers(self, trailers: Trailers) -> None:
        """Check the trailers of a response.

        Raises:
            StreamFailure: They report that the stream failed.
        """
        ...

    def request_id(self, head: ResponseHead) -> str | None:
        """The service's id of the request, from the response's headers; `None` if there is none."""
        ...

    def service_metadata(self, head: ResponseHead) -> Mapping[str, str]:
        """What the service reports about the response in its headers, under the names of its API; often nothing."""
        ...


def create_request_id() -> str:
    """Create the id of a request: 128 random bits, as the SDKs send them, without the cost of a `uuid.UUID`."""
    return os.urandom(16).hex().upper()


def create_frame_decoder(head: ResponseHead) -> FrameDecoder:
    """Create the decoder that a content type names; for other types, the one that detects the framing of the body."""
    content_type = head.content_type
    if content_type == "text/html":
        raise MalformedStream(
            "the response is a web page: its content type is text/html (hint: check that the endpoint is a model's "
            "URL, and that a proxy does not answer instead)",
            status=head.status,
        )
    return _DECODERS.get(content_type, SniffingDecoder)()


def parse_retry_after(head: ResponseHead) -> float | None:
    """Parse `Retry-After`, a number of seconds or a date, to seconds from the `Date` of the response.

    Azure and OpenAI also send `retry-after-ms` (`openai` SDK, `_base_client.py`). Without a valid `Date` header the
    clock of this machine is used.
    """
    if (milliseconds := _number(head.headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    value = head.headers.get("retry-after", "")
    if (number := _number(value)) is not None:
        return number
    until = _timestamp(value)
    if until is None:
        return None
    now = _timestamp(head.headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None


def _timestamp(text: str) -> float | None:
    """Parse an HTTP date (RFC 9110 §5.6.7, all three formats) to seconds since 1970; without a zone it is GMT."""
    try:
        date = parsedate_to_datetime(text.strip())
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def is_context_overflow(status: int, error_body: ErrorBody) -> bool:
    """Whether an error response reports that the prompt exceeds the context window."""
    text = f"{error_body.code or ''} {error_body.message}"
    if status in _UNRELATED_STATUSES or status > 500 or not describes_context_overflow(text):
        return False
    if status in _FAILED_STATUSES and "out of memory" in text.lower():
        return False
    return status < 500 or _LENGTH_PATTERN.search(text) is not None


#: Statuses with another cause, whatever the message: a key, a name, a timeout, tokens per minute.
_UNRELATED_STATUSES = frozenset({401, 403, 404, 408, 429})

#: Statuses of a model server that failed, whose message may be about its own memory.
_FAILED_STATUSES = frozenset({424, 500})

#: What the message of an internal error must contain too: a number of tokens, or that the prompt is too long. Any other
#: number may be one of the server's configuration.
_LENGTH_PATTERN = re.compile(
    r"\d\W{0,3}(?:(?:inputs?|prompt)\W{1,2})?tokens?\b|exceed|(?:longer|greater) than|is too long", re.IGNORECASE
)


def redirect_hint(head: ResponseHead) -> str:
    """Return the hint for a redirect, with its target; the query is left out, because it may contain a key."""
    location = redact_url(head.headers.get("location", "").strip())
    target = f"set the endpoint to {location[:500]}" if location else "set the endpoint to its target"
    return f"{target}; a redirect is not followed, because the request has a credential"


def quote_body(head: ResponseHead, body: bytes, error_body: ErrorBody) -> tuple[str, str]:
    """Return message and body for an error, without secrets: the body of a redirect repeats its target URL."""
    message, raw = error_body.message, body[:4000].decode("utf-8", "replace")
    if 300 <= head.status < 400:
        return redact_urls(message), redact_urls(raw)
    return message, raw


def find_hint(head: ResponseHead, error_body: ErrorBody, hints: Hints) -> str:
    """Return the hint that a table has for an error response; empty if there is none."""
    text = f"{error_body.code or ''} {error_body.message}"
    return next((hint for status, part, hint in hints if status == head.status and part in text), "")


def build_service_error(
    head: ResponseHead, body: bytes, error_body: ErrorBody, error_class: type[ServiceError], hint: str
) -> ServiceError:
    """Create the error for an error response; `ContextOverflow` has no hint, because its name is clear enough."""
    if error_class is ContextOverflow or is_context_overflow(head.status, error_body):
        error_class, hint = ContextOverflow, ""
    elif 300 <= head.status < 400:
        hint = redirect_hint(head)
    text, raw = quote_body(head, body, error_body)
    message = f"{head.status}{f' {error_body.code}' if error_body.code else ''}: {text or 'no message'}"
    return error_class(
        f"{message} (hint: {hint})" if hint else message,
        code=error_body.code,
        status=head.status,
        raw=raw,
        retry_after=parse_retry_after(head),
    )
