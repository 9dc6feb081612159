"""Four clouds on loopback: services that answer, refuse, break off and lie on demand.

    with Emulator() as emulator:
        emulator.oci_model_deployment.endpoint     # …/ocid1.datasciencemodeldeployment.oc1.iad.emulated;
        emulator.endpoint
        emulator.oci_generative_ai                 # .endpoint .compartment_id
        emulator.sagemaker                         # .endpoint_url .endpoint_name .region_name .endpoint_names
        emulator.modelarts                         # .endpoint .websocket_endpoint .maas .iam .expire_tokens()
        emulator.openai_url                        # http://127.0.0.1:PORT/v1: the model server alone
        emulator.script(Fault("trailer", "json", after=3), None)      # what happens to the next requests
        emulator.always(Fault("refuse", "lb_bandwidth"))              # what happens to all others
        emulator.script((Fault("crlf"), Fault("trailer")))            # two faults in one answer
        emulator.requests, emulator.last, emulator.connections              # what came in: `RecordedRequest` records
        emulator.last.closed.wait(5)                                  # the client went away while we were streaming
        emulator.reset()                                              # forget requests and script

    Emulator(*, brain=reply, upstream=None, upstream_key=None, flavour="vllm", models=(), context=None,
             embedding_size=256, content_type=None, idle_limit=60.0, total_limit=300.0, delay=0.0,
             events_per_chunk=1, clock=time.time, tls=False, host="127.0.0.1", port=0, keep_alive=120.0,
             verify_signatures=None, api_keys=(),                      # who is let in: both services of OCI
             default_route="/v1/chat/completions", strict=True,        # OCI model deployments
             generative_ai_ending="",                                  # OCI Generative AI: `eof`, `done`, `hang`
             aws_keys=None,                                            # SageMaker: {access key: secret or AWSKey}
             huawei=None)                                              # ModelArts: a HuaweiAccount
        .url .endpoint .oci_model_deployment .oci_generative_ai .sagemaker .modelarts .openai_url .ca_file
        .script(*steps) .always(step) .reset() .issue_token(public_pem, seconds=3600) .expire_tokens()
        .requests .last .connections
    await serve(port=0, ready=lambda emulator: …, **options)       # on the caller's loop, until cancelled

    Fault(kind, spelling="", after=None, reason="ModelResponseTimeExceeded", name="StreamFailure", announced=True,
          status=None, code="InternalServerError", message=…, retry_after=None, seconds=0.0, until=None, size=0,
          data=b"", path="")

`KINDS` says what each kind of fault does; `ERROR_RESPONSES`, `TRAILERS`, `REASONS` and `ERROR_EVENTS` name their
spellings,
`FLAVOURS` the model servers. `after` counts events; `-1` is all but the last. A pause (`hold`, `slow_head`) lasts for
`seconds`, or until the `threading.Event` in `until` is set, or until the client goes.
Faults strike what the container says: in SageMaker's payload parts, in the messages of ModelArts' WebSocket (its module
`services.modelarts` says how each comes out there). `refuse_aws` and `exception_frame` are SageMaker's own words.
A `brain` is any function from the OpenAI-shaped request to a text or an `ModelOutput`; it refuses by raising
`ValueError`.
With pytest it is the fixture `mdstream_emulator` (`pytest_mdstream`).
For a benchmark, `Fault("raw", data=…)` writes prepared bytes, head and all, at almost no cost.
Standard clients judge its bytes in the tests; our own only shows that what a fault leaves can be read.
"""

from mdstream_core.errors import MissingExtra

try:
    import cryptography  # noqa: F401
    import h11  # noqa: F401
    import websockets  # noqa: F401
except ImportError as error:
    raise MissingExtra(error.name or "h11", "emulator") from None

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._sigv4 import AWSKey
from mdstream_core.emulator.emulator import Emulator, serve
from mdstream_core.emulator.faults import ERROR_EVENTS, ERROR_RESPONSES, KINDS, REASONS, TRAILERS, Fault
from mdstream_core.emulator.model import ModelOutput, ToolCall
from mdstream_core.emulator.model_server import FLAVOURS
from mdstream_core.emulator.services.modelarts import HuaweiAccount

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
    "HuaweiAccount",
    "ModelOutput",
    "RecordedRequest",
    "ToolCall",
    "serve",
]
