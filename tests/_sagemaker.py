"""SageMaker in tests: frames, an emulated endpoint, and calls with both clients."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mdstream_core import Dialect, ModelResponse, Retry, Service
from mdstream_core.auth import Signer
from mdstream_core.dialects import Auto
from mdstream_core.emulator import Emulator
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import SageMaker
from mdstream_core.wire.eventstream import encode

PART = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
REQUEST = {"messages": [{"role": "user", "content": "Hello"}]}
HELLO = "Hello! How can I help you today?"
KEYS = {"AKEMULATED": "s3cret"}


def part(data: bytes) -> bytes:
    return encode(PART, data)


def exception(kind: str, payload: bytes) -> bytes:
    return encode({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}, payload)


def stream_head(content_type: str = "text/event-stream") -> ResponseHead:
    """Create the head of a stream with the container's content type."""
    return ResponseHead(200, {"content-type": "application/vnd.amazon.eventstream", "x-amzn-sagemaker-content-type": content_type, "x-amzn-requestid": "r-1"})  # fmt: skip


def signer(**options: Any) -> Signer:
    pytest.importorskip("botocore", reason="needs botocore for signatures; install mdstream-llm[aws]")
    from mdstream_core.auth.aws import AWSSigner  # noqa: PLC0415

    return AWSSigner.from_keys("AKEMULATED", "s3cret", **{"region_name": "us-east-1", **options})


def service(emulator: Emulator, name: str = "emulated", auth: Any = None, **parameters: Any) -> Service:
    platform = SageMaker(name, endpoint_url=emulator.sagemaker.endpoint_url, **parameters)
    return Service(platform, auth=auth or signer(), retry=Retry(0), timeout=10, trust_env=False)


Outcome = tuple[ModelResponse, MDStreamError | None]
Send = Callable[..., Outcome]


def sync(service: Service, dialect: Dialect | None = None, *, stream: bool = True, **params: Any) -> Outcome:
    """Call the service with the sync client; return the response and the error."""
    events: list[Event] = []
    failed: MDStreamError | None = None
    try:
        for event in service.client.stream(service.call(dialect or Auto(), {**REQUEST, **params}, stream=stream)):
            events.append(event)  # noqa: PERF402
    except MDStreamError as error:
        failed = error
    service.close()
    return ModelResponse.from_events(events), failed


def asyn(service: Service, dialect: Dialect | None = None, *, stream: bool = True, **params: Any) -> Outcome:
    """Call the service with the async client; return the response and the error."""

    async def main() -> Outcome:
        events: list[Event] = []
        failed: MDStreamError | None = None
        call = service.call(dialect or Auto(), {**REQUEST, **params}, stream=stream)
        try:
            async for event in service.async_client.stream(call):
                events.append(event)  # noqa: PERF401
        except MDStreamError as error:
            failed = error
        await service.aclose()
        return ModelResponse.from_events(events), failed

    return asyncio.run(main())


both = pytest.mark.parametrize("send_request", [sync, asyn])
