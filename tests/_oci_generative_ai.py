"""OCI Generative AI in tests: a platform, the way of a body through wire and dialect, and payloads as events."""

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
    """Each payload as an event."""
    return b"".join(encode(one if isinstance(one, bytes) else json.dumps(one).encode()) for one in payloads)


def question(name: str, **more: Any) -> dict[str, Any]:
    """Something to ask in a dialect."""
    requested = {"prompt": "Hello"} if "generate-text" in name else {"messages": [{"role": "user", "content": "Hello"}]}
    return {**requested, **more}


def read(name: str, body: bytes, head: ResponseHead = EVENTS, step: int = 4096) -> Outcome:
    """Hand a body to an exchange, as a client would, which stops reading once that is enough."""
    requested = Call(PLATFORM, dialect(name), question(name), retry=Retry(0)).create_attempt()
    events: list[Event] = []
    try:
        requested.start(head)
        for data in pieces(body, step):
            events += requested.feed(data)
            if requested.should_stop_reading:
                break
        events += requested.flush()
        events += requested.finish()
    except MDStreamError as error:
        return Outcome(events, requested.enrich_error(error))
    return Outcome(events, None)


#: Until `call.py` and `client.py` know answers that are whole before their stream ends.


# What the formats say

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


def document(inside: str, answer: dict[str, Any]) -> bytes:
    return json.dumps({"modelId": "m", "modelVersion": "1", inside: answer}, indent=1).encode()
