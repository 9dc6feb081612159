"""OCI Generative AI in tests: a platform, decoding of a body, and payloads of each API format."""

import json
from typing import Any

from _samples import EVENTS, Outcome, pieces

from mdstream_core import Call, Retry
from mdstream_core.dialects import dialect
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Usage
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import OCIGenerativeAI
from mdstream_core.wire.sse import encode

COMPARTMENT = "ocid1.compartment.oc1..aaaa"
PLATFORM = OCIGenerativeAI(COMPARTMENT, "xai.grok-4", region="us-chicago-1")
DONE = encode(b"[DONE]")
JSON = ResponseHead(200, {"content-type": "application/json"})

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def sse(*payloads: Any) -> bytes:
    """Encode each payload as a server-sent event."""
    return b"".join(encode(one if isinstance(one, bytes) else json.dumps(one).encode()) for one in payloads)


def build_params(name: str, **more: Any) -> dict[str, Any]:
    """Build the parameters of a request in a dialect."""
    params = {"prompt": "Hello"} if "generate-text" in name else {"messages": [{"role": "user", "content": "Hello"}]}
    return {**params, **more}


def read(name: str, body: bytes, head: ResponseHead = EVENTS, step: int = 4096) -> Outcome:
    """Decode a body as a client does; stop reading when the response is complete."""
    attempt = Call(PLATFORM, dialect(name), build_params(name), retry=Retry(0)).create_attempt()
    events: list[Event] = []
    try:
        attempt.start(head)
        for data in pieces(body, step):
            events += attempt.feed(data)
            if attempt.should_stop_reading:
                break
        events += attempt.flush()
        events += attempt.finish()
    except MDStreamError as error:
        return Outcome(events, attempt.enrich_error(error))
    return Outcome(events, None)


# Payloads of the API formats

GENERIC, COHERE, V2 = "oci-generic", "oci-cohere", "oci-cohere-v2"


def text(piece: str, index: int = 0) -> dict[str, Any]:
    message = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": piece}]}
    return {"index": index, "message": message, "pad": "aaaaa"}


def calls(*entries: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "TEXT", "text": ""}]
    return {"index": 0, "message": {"role": "ASSISTANT", "content": content, "toolCalls": list(entries)}, "pad": "a"}


def finish(reason: str) -> dict[str, Any]:
    return {"finishReason": reason, "pad": "aa"}


def cohere(piece: str, **more: Any) -> dict[str, Any]:
    return {"apiFormat": "COHERE", "text": piece, "pad": "aaa", **more}


def v2(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", "content": list(content)}, **more}


COUNTED = {"promptTokens": 18, "completionTokens": 4, "totalTokens": 22}
USAGE = Usage(input=18, output=4, total=22)
V2_END = {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT"}, "finishReason": "COMPLETE"}
PARIS = [("get_weather", {"city": "Paris"})]
BOTH = [*PARIS, ("get_weather", {"city": "Rome"})]
CALL = {"type": "FUNCTION", "id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'}
OTHER = {"type": "FUNCTION", "id": "call_2", "name": "get_weather", "arguments": '{"city": "Rome"}'}


def document(field: str, response: dict[str, Any]) -> bytes:
    return json.dumps({"modelId": "m", "modelVersion": "1", field: response}, indent=1).encode()
