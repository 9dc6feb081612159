"""Emulators of the services on loopback: trailers, event-stream frames, WebSockets, signatures, and faults.

    with Emulator() as emulator:
        chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none")
        emulator.script(Fault("trailer", "json", after=3), None)      # the next two requests: a fault, then none
        emulator.always(Fault("refuse", "lb_bandwidth"))              # all other requests
        emulator.script((Fault("crlf"), Fault("trailer")))            # two faults in one response
        emulator.requests, emulator.last, emulator.connections        # `RecordedRequest`s, the newest, a count
        emulator.last.client_closed.wait(5)                           # the client disconnected during the response
        emulator.rate_limits = [RequestRateLimit(150)]                # more than 150 requests/s get the service's 429
        emulator.ledger.max_in_window(1.0, accepted=True)             # requests accepted within one second, at most
        emulator.reset()                                              # clear requests, script and ledger

Addresses:
    emulator.endpoint, emulator.oci_model_deployment.endpoint         # OCI model deployment, without `/predict`
    emulator.oci_genai                                        # .endpoint .compartment_id
    emulator.data_science                                             # .endpoint .compartment_id .resources
    emulator.sagemaker                                                # .endpoint_url .endpoint_name .region_name …
    emulator.modelarts                                                # .endpoint .websocket_endpoint .maas .iam
    emulator.openai_url                                               # http://127.0.0.1:PORT/v1: any OpenAI client

`Emulator` runs on a thread of its own, `serve` on the caller's event loop until it is cancelled.

`KINDS` describes each kind of fault; `ERROR_RESPONSES`, `TRAILERS`, `REASONS` and `ERROR_EVENTS` list the spellings of
some of them, `FLAVOURS` the model servers. Faults apply to the output of the model server: inside SageMaker's payload
parts, and in the messages of ModelArts' WebSocket (`services.modelarts` describes how each of them looks there).
`refuse_aws` and `exception_frame` exist on SageMaker only. For a benchmark, `Fault("raw", data=…)` writes prepared
bytes, head included, at almost no cost.

The pytest fixture is `mdstream_emulator` (package `pytest_mdstream`). The tests check the emulator's bytes with the
services' own clients (boto3, `oci`, `openai`, Huawei's signer), not only with mdstream's.
"""

from mdstream_core.errors import MissingExtra

try:
    import cryptography  # noqa: F401
    import h11  # noqa: F401
    import websockets  # noqa: F401
except ImportError as error:
    raise MissingExtra(error.name or "h11", "emulator") from None

from mdstream_core.emulator._ledger import LedgerEntry, RequestLedger
from mdstream_core.emulator._rate_limits import RequestRateLimit
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._sigv4 import AWSKey
from mdstream_core.emulator.emulator import Emulator, serve
from mdstream_core.emulator.faults import ERROR_EVENTS, ERROR_RESPONSES, KINDS, REASONS, TRAILERS, Fault
from mdstream_core.emulator.model import ModelOutput, ToolCall
from mdstream_core.emulator.model_server import FLAVOURS
from mdstream_core.emulator.services.modelarts import HuaweiAccount
from mdstream_core.emulator.services.oci_genai import GuardrailRules

__all__ = [
    "ERROR_EVENTS",
    "ERROR_RESPONSES",
    "FLAVOURS",
    "KINDS",
    "REASONS",
    "TRAILERS",
    "AWSKey",
    "Emulator",
    "Fault",
    "GuardrailRules",
    "HuaweiAccount",
    "LedgerEntry",
    "ModelOutput",
    "RecordedRequest",
    "RequestLedger",
    "RequestRateLimit",
    "ToolCall",
    "serve",
]
