"""What the tests of the emulator's quirks share: an answer with characters beyond U+FFFF, and how it is asked for."""

from collections.abc import Iterator
from typing import Any

import pytest
from _raw_client import HELLO, RawResponse, send_request

from mdstream_core.emulator import FLAVOURS, Emulator, Fault, ModelOutput, ToolCall

GRIN = "\N{GRINNING FACE}"
CONTENT = f"Hi {GRIN} you{GRIN}!"
ARGUMENTS = f'{{"city": "Par{GRIN}is"}}'
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
Json = dict[str, Any]


def built_in_model(request: Json) -> ModelOutput:
    """Thinks, speaks, or calls two tools, each with a character beyond U+FFFF."""
    if request.get("tools"):
        calls = [ToolCall(f"call_{n}", "get_weather", (ARGUMENTS[:10], ARGUMENTS[10:])) for n in range(2)]
        return ModelOutput(tool_calls=tuple(calls), finish="tool_calls")
    return ModelOutput(
        text=("Hi", f" {GRIN}", f" you{GRIN}!"), reasoning=(f"hm{GRIN}", "m") if request.get("think") else ()
    )


@pytest.fixture(scope="module", params=FLAVOURS)
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator of each flavour."""
    with Emulator(model=built_in_model, flavour=request.param) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def plain() -> Iterator[Emulator]:
    """One that answers by itself."""
    with Emulator() as emulator:
        yield emulator


def chat(emulator: Emulator, *faults: Fault, **more: Any) -> RawResponse:
    """A chat with the bare server."""
    emulator.reset()
    emulator.script(faults)
    return send_request(emulator.openai_url + "/chat/completions", {**HELLO, **more})


def native(
    emulator: Emulator, *faults: Fault, model: str = "xai.grok-4", stream: bool = True, **more: Any
) -> RawResponse:
    """A chat with OCI Generative AI: GENERIC, or Cohere's formats."""
    request: Json = {"apiFormat": "GENERIC", "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "?"}]}]}
    if model.startswith("cohere."):
        request = {"apiFormat": "COHERE", "message": "?"}
    mode = {"servingType": "ON_DEMAND", "modelId": model}
    emulator.reset()
    emulator.script(faults)
    compartment = emulator.oci_generative_ai.compartment_id
    chat_request = {**request, "isStream": stream, **more}
    body = {"compartmentId": compartment, "servingMode": mode, "chatRequest": chat_request}
    return send_request(f"{emulator.url}/20231130/actions/chat", body)


def choices(results: RawResponse) -> list[Json]:
    """The choices of each event."""
    return [choice for event in results.events for choice in event.get("choices", ())]


def joined(parts: list[str]) -> str:
    """Halves of characters put together."""
    return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16")


def arguments(results: RawResponse) -> dict[str, str]:
    """What each call of a stream was given, by its id, or by its index."""
    found: dict[str, str] = {}
    names: dict[int, str] = {}
    for choice in choices(results):
        for entry in choice["delta"].get("tool_calls") or ():
            names[entry["index"]] = entry.get("id") or names[entry["index"]]
            id = names[entry["index"]]
            found[id] = found.get(id, "") + (entry["function"].get("arguments") or "")
    return found
