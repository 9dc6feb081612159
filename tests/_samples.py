"""Exchanges recorded from real servers, and helpers that decode a body."""

from pathlib import Path
from typing import NamedTuple

from mdstream_core import Dialect, OCIModelDeployment, OpenAIChat
from mdstream_core.attempt import Attempt
from mdstream_core.call import Call
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse
from mdstream_core.http import ResponseHead
from mdstream_core.retry import Retry

SAMPLES = Path(__file__).parent / "samples"

PLATFORM = OCIModelDeployment("http://127.0.0.1:1/ocid1.datasciencemodeldeployment.oc1.iad.abc")
EVENTS = ResponseHead(200, {"content-type": "text/event-stream", "opc-request-id": "req-1"})
OUTPUT = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
REQUEST = {"messages": [{"role": "user", "content": "Hello"}], "model": "odsc-llm"}


class Sample(NamedTuple):
    """One recorded response."""

    head: ResponseHead
    body: bytes


class Outcome(NamedTuple):
    """The decoded events, and the error at the end."""

    events: list[Event]
    error: MDStreamError | None

    @property
    def model_response(self) -> ModelResponse:
        return ModelResponse.from_events(self.events)


def names() -> list[str]:
    """Return the names of all recordings of HTTP exchanges."""
    return sorted(path.stem for path in SAMPLES.glob("*.txt"))


def sample(name: str) -> Sample:
    """Load one recording."""
    raw = (SAMPLES / f"{name}.txt").read_bytes()
    if not raw.startswith(b"HTTP/1.1"):  # recorded without its head
        return Sample(EVENTS, raw)
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return Sample(
        ResponseHead.from_fields(int(status.split()[1]), [tuple(field.split(": ", 1)) for field in fields]), body
    )


def exchange(dialect: Dialect | None = None, **options: object) -> Attempt:
    """Create an attempt without retries, of a chat completion unless another dialect is given."""
    return Call(PLATFORM, dialect or OpenAIChat(), REQUEST, **{"retry": Retry(0), **options}).create_attempt()


def pieces(body: bytes, step: int) -> list[bytes]:
    """Split a body into pieces of `step` bytes."""
    return [body[at : at + step] for at in range(0, len(body), step)]


def read(
    body: bytes | list[bytes],
    head: ResponseHead = EVENTS,
    trailers: tuple[tuple[str, str], ...] = (),
    step: int = 4096,
    **options: object,
) -> Outcome:
    """Decode a body with an attempt, as a client does."""
    attempt = exchange(**options)
    events: list[Event] = []
    try:
        attempt.start(head)
        for data in pieces(body, step) if isinstance(body, bytes) else body:
            events += attempt.feed(data)
            if attempt.should_stop_reading:
                break
        events += attempt.flush()
        events += attempt.finish(trailers)
    except MDStreamError as error:
        return Outcome(events, attempt.enrich_error(error))
    return Outcome(events, None)
