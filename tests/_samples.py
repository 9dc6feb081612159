"""The exchanges recorded from real servers, and the way a body takes through wire and dialect."""

from pathlib import Path
from typing import NamedTuple

from mdstream_core import OCIModelDeployment, OpenAIChat
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
    """What came out: the events, and how it ended."""

    events: list[Event]
    error: MDStreamError | None

    @property
    def model_response(self) -> ModelResponse:
        return ModelResponse.from_events(self.events)


def names() -> list[str]:
    """Every recording that is an HTTP exchange."""
    return sorted(path.stem for path in SAMPLES.glob("*.txt"))


def sample(name: str) -> Sample:
    """One recording."""
    raw = (SAMPLES / f"{name}.txt").read_bytes()
    if not raw.startswith(b"HTTP/1.1"):  # recorded without its head
        return Sample(EVENTS, raw)
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return Sample(
        ResponseHead.from_fields(int(status.split()[1]), [tuple(field.split(": ", 1)) for field in fields]), body
    )


def exchange(**options: object) -> Attempt:
    """A fresh exchange that asks once."""
    return Call(PLATFORM, OpenAIChat(), REQUEST, **{"retry": Retry(0), **options}).create_attempt()


def pieces(body: bytes, step: int) -> list[bytes]:
    """The body as a network might cut it."""
    return [body[at : at + step] for at in range(0, len(body), step)]


def read(
    body: bytes | list[bytes],
    head: ResponseHead = EVENTS,
    trailers: tuple[tuple[str, str], ...] = (),
    step: int = 4096,
    **options: object,
) -> Outcome:
    """Hand a body to an exchange, as a client would."""
    requested = exchange(**options)
    events: list[Event] = []
    try:
        requested.start(head)
        for data in pieces(body, step) if isinstance(body, bytes) else body:
            events += requested.feed(data)
            if requested.should_stop_reading:
                break
        events += requested.flush()
        events += requested.finish(trailers)
    except MDStreamError as error:
        return Outcome(events, requested.enrich_error(error))
    return Outcome(events, None)
