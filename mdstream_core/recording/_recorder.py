"""`record` and `Recorder`: hooks that write a recording."""

import os
import platform as python_platform
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import IO, Any, Self

from mdstream_core import _fork, _json
from mdstream_core._redaction import is_safe_header, redact_headers, redact_url, redact_urls
from mdstream_core._version import __version__
from mdstream_core.errors import MDStreamError
from mdstream_core.hooks import (
    Abandoned,
    CallEvent,
    CallInfo,
    Completed,
    Failed,
    RequestSent,
    ResponseStarted,
    RetryScheduled,
    local_hook,
)
from mdstream_core.recording._bodies import hide_pieces
from mdstream_core.recording._format import FORMAT_VERSION, MAX_RECORDING, Exchange, Fields
from mdstream_core.recording._texts import hide_message, hide_texts
from mdstream_core.transport.exceptions import http_errors

#: Maximum size of the recorded body of one response in bytes; a security limit. The rest is not recorded.
MAX_BODY = 16 * 1024 * 1024

#: Class of the exception that ended a body to how it ended; for all others `closed`.
_ENDS = {
    "ReadTimeout": "timeout",
    "WriteTimeout": "timeout",
    "PoolTimeout": "timeout",
    "ConnectTimeout": "timeout",
    "ReadError": "reset",
    "MalformedStream": "undecodable",
    "DecodingError": "undecodable",
}

_REMOVED = "[removed]"

#: Request headers whose values are recorded, beside the safe ones of responses.
_REQUEST_HEADERS = frozenset({"accept", "accept-encoding", "user-agent", "route", "enable-streaming"})

#: Trailer fields and headers whose values are texts of the service.
_MESSAGE_FIELDS = re.compile(r"(streamfailure|errorreason)\Z")

#: Packages whose versions are part of the header.
_PACKAGES = ("httpx", "httpcore", "langchain-core", "llama-index-core", "oci", "botocore")


class Recorder:
    """Hook that writes a recording of the calls that it receives: `Model(hooks=[Recorder(path)])`.

    Each attempt is written when it ends. Close the recorder, or use it in a `with` block.

    Args:
        path: The file, which is created with mode 0600 and replaced if it exists.
        keep_text: Whether prompts, responses and error messages are recorded; by default placeholders of the same
            length replace them. Credentials are never recorded.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> recorder = Recorder("failure.jsonl")  # doctest: +SKIP
        >>> chat = ChatOCIModelDeployment(endpoint=endpoint, hooks=[recorder])  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, *, keep_text: bool = False) -> None:
        self.path = Path(path)
        self.keep_text = keep_text
        self._lock = _fork.Lock()
        self._process = os.getpid()
        self._calls = 0
        self._size = 0
        self._is_full = False
        self._file: IO[bytes] | None = _create_file(self.path)
        self._write(_json.dumps(_header(keep_text=keep_text)) + b"\n")

    @property
    def is_truncated(self) -> bool:
        """Whether the limit of the file was reached, so that later attempts are not in it."""
        return self._is_full

    def start_call(self, info: CallInfo) -> "CallRecorder":
        """Start the recording of a call."""
        with self._lock:
            self._calls += 1
            return CallRecorder(self, info, self._calls)

    def add(self, exchange: Exchange) -> None:
        """Write an attempt. After the limit of the file nothing more is written."""
        line = exchange.to_line()
        with self._lock:
            self._is_full = self._is_full or self._size + len(line) > MAX_RECORDING
            if not self._is_full:
                self._write(line)

    def _write(self, line: bytes) -> None:
        if self._file is None or self._process != os.getpid():  # a forked process shares the file with its parent
            return
        self._size += len(line)
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        """Close the file. Attempts that end later are not recorded."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def record(path: str | Path, *, keep_text: bool = False) -> Iterator[Recorder]:
    """Record the calls that this task or thread, or a task that it starts, creates in a `with` block.

    Args:
        path: The file, which is created with mode 0600 and replaced if it exists.
        keep_text: Whether prompts, responses and error messages are recorded; by default placeholders of the same
            length replace them. Credentials are never recorded.

    Yields:
        The recorder.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> with record("failure.jsonl"):  # doctest: +SKIP
        ...     chat.invoke("Hello")
    """
    with Recorder(path, keep_text=keep_text) as recorder, local_hook(recorder):
        yield recorder


class CallRecorder:
    """Callback of one call: collects each of its attempts, and passes it to the recorder."""

    def __init__(self, recorder: Recorder, info: CallInfo, number: int) -> None:
        self._recorder = recorder
        self._info = info
        self._number = number
        self._exchange: Exchange | None = None
        self._body: ObservedBody | None = None
        self._sent_at = 0.0
        self._events: dict[type, Callable[[Any], None]] = {
            RequestSent: self._start,
            ResponseStarted: self._add_head,
            RetryScheduled: self._finish,
            Failed: self._finish,
            Completed: self._finish,
            Abandoned: self._finish,
        }

    def __call__(self, event: CallEvent) -> None:
        """Receive an event of the call."""
        handle = self._events.get(type(event))
        if handle is not None:
            handle(event)

    def observe_body(self, response: Any, body: Any) -> "ObservedBody":
        """Return an iterable of the body that records what it yields."""
        self._body = ObservedBody(response, body, self._sent_at)
        return self._body

    def _start(self, event: RequestSent) -> None:
        request = event.request
        self._sent_at = monotonic()
        self._body = None
        self._exchange = Exchange(
            method=request.method,
            url=redact_url(request.url).replace("…", ""),
            request_headers=tuple((name, _request_value(name, value)) for name, value in request.headers.items()),
            request_body=request.content,
            call=self._number,
            attempt=event.attempt,
            platform=self._info.platform,
            dialect=self._info.dialect,
            stream=self._info.stream,
        )

    def _add_head(self, event: ResponseStarted) -> None:
        if self._exchange is not None:
            seconds = round(monotonic() - self._sent_at, 6)
            head = event.head
            self._exchange = replace(
                self._exchange, status=head.status, headers=tuple(head.headers.items()), seconds_to_head=seconds
            )

    def _finish(self, event: RetryScheduled | Failed | Completed | Abandoned) -> None:
        exchange, body, self._exchange, self._body = self._exchange, self._body, None, None
        if exchange is None:
            return
        error = getattr(event, "error", None)
        if body is not None:
            exchange = replace(
                exchange, headers=body.headers, body=tuple(body.pieces), trailers=body.trailers, end=body.end
            )
        elif error is not None:
            exchange = replace(exchange, end=_ENDS.get(getattr(error, "code", None) or "", "closed"))
        exchange = replace(exchange, error=_describe(error))
        self._recorder.add(_redact(exchange, keep_text=self._recorder.keep_text))


class ObservedBody:
    """Iterable over a body, sync or async, that records its pieces and how it ends.

    Attributes:
        pieces: Seconds since the request, and the bytes, of each read.
        end: How the body ended.
    """

    def __init__(self, response: Any, body: Any, sent_at: float) -> None:
        self._response = response
        self._body = body
        self._iterator: Any = None
        self._sent_at = sent_at
        self._size = 0
        self.pieces: list[tuple[float, bytes]] = []
        self.end = "client_closed"

    def __iter__(self) -> Iterator[bytes]:
        body: Iterable[bytes] = self._body
        self._iterator = iter(body)
        return self

    def __next__(self) -> bytes:
        try:
            data: bytes = next(self._iterator)
        except StopIteration:
            self._finish("complete")
            raise
        except _body_errors() as error:
            self._finish(_ENDS.get(type(error).__name__, "closed"))
            raise
        self._add(data)
        return data

    def __aiter__(self) -> AsyncIterator[bytes]:
        body: AsyncIterable[bytes] = self._body
        self._iterator = aiter(body)
        return self

    async def __anext__(self) -> bytes:
        try:
            data: bytes = await anext(self._iterator)
        except StopAsyncIteration:
            self._finish("complete")
            raise
        except _body_errors() as error:
            self._finish(_ENDS.get(type(error).__name__, "closed"))
            raise
        self._add(data)
        return data

    @property
    def headers(self) -> Fields:
        """The header fields in their order, without that of the compression, which was removed."""
        fields = self._response.headers.multi_items()
        is_compressed = "content-encoding" in self._response.headers
        dropped = {"content-encoding", "content-length"} if is_compressed else set()
        return tuple((name, value) for name, value in fields if name not in dropped)

    @property
    def trailers(self) -> Fields:
        """The trailer fields."""
        fields = self._response.extensions.get("trailers", ())
        return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_BODY and self.end != "truncated":
            self.pieces.append((round(monotonic() - self._sent_at, 6), bytes(data)))
        else:
            self.end = "truncated"

    def _finish(self, end: str) -> None:
        if self.end != "truncated":
            self.end = end


def _body_errors() -> tuple[type[Exception], ...]:
    """Return the classes of the exceptions that can end a body."""
    return (*http_errors(), MDStreamError, OSError)


def _redact(exchange: Exchange, *, keep_text: bool) -> Exchange:
    """Remove credentials, and replace the texts unless they are kept."""
    headers = tuple((name, _response_value(name, value, keep_text=keep_text)) for name, value in exchange.headers)
    trailers = tuple((name, _response_value(name, value, keep_text=keep_text)) for name, value in exchange.trailers)
    exchange = replace(exchange, headers=headers, trailers=trailers)
    if keep_text:
        return exchange
    times = [seconds for seconds, _ in exchange.body]
    pieces = hide_pieces([data for _, data in exchange.body], is_websocket=exchange.has_messages)
    return replace(
        exchange,
        request_body=hide_texts(exchange.request_body),
        body=tuple(zip(times, pieces, strict=True)),
    )


def _request_value(name: str, value: str) -> str:
    return redact_urls(value) if name in _REQUEST_HEADERS or is_safe_header(name) else _REMOVED


def _response_value(name: str, value: str, *, keep_text: bool) -> str:
    """Return the value of a header or trailer without credentials, and without texts."""
    shown = redact_headers({name: value})[name]
    if shown != value and name.lower() != "location":
        return _REMOVED
    is_message = _MESSAGE_FIELDS.search(re.sub(r"[^a-z]", "", name.lower()))
    return hide_message(shown) if is_message and not keep_text else shown.replace("…", "")


def _describe(error: BaseException | None) -> Mapping[str, Any] | None:
    """Return the facts of an error that are no text."""
    if error is None:
        return None
    facts = {name: getattr(error, name, None) for name in ("code", "status", "retryable")}
    if isinstance(facts["code"], str):
        facts["code"] = hide_message(facts["code"])
    return {"type": type(error).__name__, **facts}


def _header(*, keep_text: bool) -> dict[str, Any]:
    return {
        "mdstream_recording": FORMAT_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "text": "kept" if keep_text else "replaced",
        "versions": collect_versions(),
    }


def collect_versions() -> dict[str, str]:
    """Return the versions of mdstream, Python and the packages that take part in a call, where installed."""
    versions = {
        "mdstream": __version__,
        "python": python_platform.python_version(),
        "system": f"{python_platform.system()} {python_platform.machine()}",
    }
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _create_file(path: Path) -> IO[bytes]:
    """Create the file for its owner only, and empty it if it exists."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    file = os.fdopen(handle, "wb")
    if hasattr(os, "fchmod"):
        os.fchmod(handle, 0o600)
    return file
