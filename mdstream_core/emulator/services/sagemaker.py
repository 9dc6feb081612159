"""Amazon SageMaker's runtime: `/endpoints/{name}/invocations` and `…/invocations-response-stream`.

Signatures are verified, bodies limited, and the container's refusals come as `ModelError`. A stream is an event stream
of payload parts; faults strike the container's answer inside it.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import time
from typing import Any

from mdstream_core.emulator._bounds import read_json
from mdstream_core.emulator._frames import EVENT_STREAM, part
from mdstream_core.emulator._plan import Plan, gathered, json_plan
from mdstream_core.emulator._received import Received
from mdstream_core.emulator._sigv4 import AWSKey, NotSigned, SigV4
from mdstream_core.emulator.brain import Brain
from mdstream_core.emulator.container import Container, Limits, Server, Unreachable
from mdstream_core.emulator.container._errors import ContainerRefusal
from mdstream_core.emulator.faults._frames import aws, model_error
from mdstream_core.emulator.services._sagemaker_containers import CONTAINERS

LARGEST = 6_291_456
ENDPOINT = "emulated"
REGION = "us-east-1"

AWSKeys = Mapping[str, str | AWSKey]

_WHOLE, _STREAM = "invocations", "invocations-response-stream"
_OWN = "x-amzn-sagemaker-"


class SageMakerRuntime:
    """The endpoints of one account in one region, one for each row of `CONTAINERS`.

    Args:
        server: What stands behind the endpoint `emulated`.
        brain: What answers behind the others.
        limits: Of these.
        keys: Access keys that are let in, with their secrets; everybody without.
        now: The clock.
    """

    def __init__(
        self,
        server: Server,
        brain: Brain,
        limits: Limits | None = None,
        keys: AWSKeys | None = None,
        now: Callable[[], float] = time,
    ) -> None:
        self._hosts = {
            name: (host, Container(brain, flavour, limits) if flavour else server)
            for name, (host, flavour) in CONTAINERS.items()
        }
        self._signatures = SigV4(keys, region=REGION, now=now) if keys is not None else None

    def owns(self, path: str) -> bool:
        """Whether a path is meant for an endpoint."""
        return path.startswith("/endpoints/")

    async def answer(self, received: Received) -> Plan:
        """The service's answer."""
        _, _, name, door = [*received.path.split("/", 3), "", ""][:4]
        try:
            plan = self._refusal(received, name, door) or await self._invoke(received, name, door)
        except Unreachable as error:
            plan = aws(503, "ServiceUnavailable", str(error))
        return plan.with_headers(("x-amzn-RequestId", str(uuid.uuid4())))

    def _refusal(self, received: Received, name: str, door: str) -> Plan | None:
        if received.method != "POST" or door not in {_WHOLE, _STREAM}:
            return aws(404, "UnknownOperationException", "Unknown operation")
        if (received.length or 0) > LARGEST:
            text = "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length"
            return aws(400, "ValidationError", f"{text} less than or equal to {LARGEST}")
        if self._signatures is not None:
            try:
                self._signatures.check(received)
            except NotSigned as problem:
                return aws(403, problem.code, problem.message)
        if name not in self._hosts:
            return aws(400, "ValidationError", f"Endpoint {name} of account 123456789012 not found.")
        return None

    async def _invoke(self, received: Received, name: str, door: str) -> Plan:
        host, server = self._hosts[name]
        request = _read(received.body)
        try:
            plan = await host(server, received, request if isinstance(request, dict) else {})
        except ContainerRefusal as refusal:
            plan = json_plan(refusal.status, {"error": refusal.message, "error_type": "validation"})
        if plan.status >= 400:
            body = b"".join((await gathered(plan)).bytes)
            return model_error(plan.status, body.decode("utf-8", "replace"))
        written = next(value for field, value in plan.headers if field.lower() == "content-type")
        plan = _with_facts(plan, received)
        if door == _STREAM:
            plan = plan.with_headers(("content-type", EVENT_STREAM), (f"{_OWN}content-type", written))
            return replace(plan, envelope=part, framing="chunked")
        plan = await gathered(plan)
        return replace(plan, pieces=(b"".join(plan.bytes),), framing="length")


def _read(body: bytes) -> Any:
    try:
        return read_json(body)
    except ValueError:
        return None


def _with_facts(plan: Plan, received: Received) -> Plan:
    """The headers of an answer; a container hands its custom attributes back, and begins a session."""
    plan = plan.with_headers(("x-Amzn-Invoked-Production-Variant", "AllTraffic"))
    if attributes := received.headers.get(f"{_OWN}custom-attributes"):
        plan = plan.with_headers((f"{_OWN}custom-attributes", attributes))
    if received.headers.get(f"{_OWN}session-id") == "NEW_SESSION":
        plan = plan.with_headers((f"{_OWN}new-session-id", "session-1; Expires=2026-11-20T18:00:00Z"))
    return plan


@dataclass(frozen=True, slots=True)
class SageMakerAddress:
    """Where SageMaker's runtime listens. `endpoint_names` are the images that stand behind it, by endpoint."""

    endpoint_url: str
    endpoint_name: str = ENDPOINT
    region_name: str = REGION
    endpoint_names: tuple[str, ...] = tuple(CONTAINERS)

    @property
    def endpoint(self) -> str:
        """The runtime's URL."""
        return self.endpoint_url
