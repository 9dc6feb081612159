"""Helpers for the tests of the emulator's quirks: a model whose output has characters beyond U+FFFF, and requests."""

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
    """Return reasoning and a text, or two tool calls, each with a character beyond U+FFFF."""
    if request.get("tools"):
        calls = [ToolCall(f"call_{n}", "get_weather", (ARGUMENTS[:10], ARGUMENTS[10:])) for n in range(2)]
        return ModelOutput(tool_calls=tuple(calls), finish="tool_calls")
    return ModelOutput(
        text=("Hi", f" {GRIN}", f" you{GRIN}!"), reasoning=(f"hm{GRIN}", "m") if request.get("think") else ()
    )


@pytest.fixture(scope="module", params=FLAVOURS)
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator for each flavour."""
    with Emulator(model=built_in_model, flavour=request.param) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def default_emulator() -> Iterator[Emulator]:
    """An emulator with the built-in model."""
    with Emulator() as emulator:
        yield emulator


def chat(emulator: Emulator, *faults: Fault, **params: Any) -> RawResponse:
    """Send a chat request to the OpenAI-compatible server."""
    emulator.reset()
    emulator.script(faults)
    return send_request(emulator.openai_url + "/chat/completions", {**HELLO, **params})


def native(
    emulator: Emulator, *faults: Fault, model: str = "xai.grok-4", stream: bool = True, **params: Any
) -> RawResponse:
    """Send a chat request to OCI Generative AI, in the format GENERIC or COHERE."""
    request: Json = {"apiFormat": "GENERIC", "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "?"}]}]}
    if model.startswith("cohere."):
        request = {"apiFormat": "COHERE", "message": "?"}
    mode = {"servingType": "ON_DEMAND", "modelId": model}
    emulator.reset()
    emulator.script(faults)
    compartment = emulator.oci_genai.compartment_id
    chat_request = {**request, "isStream": stream, **params}
    body = {"compartmentId": compartment, "servingMode": mode, "chatRequest": chat_request}
    return send_request(f"{emulator.url}/20231130/actions/chat", body)


def choices(response: RawResponse) -> list[Json]:
    """Return the choices of all events."""
    return [choice for event in response.events for choice in event.get("choices", ())]


def join_surrogates(parts: list[str]) -> str:
    """Join texts, and the halves of surrogate pairs in them."""
    return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16")


def arguments(response: RawResponse) -> dict[str, str]:
    """Return the arguments of each tool call of a stream, by its id."""
    texts: dict[str, str] = {}
    names: dict[int, str] = {}
    for choice in choices(response):
        for entry in choice["delta"].get("tool_calls") or ():
            names[entry["index"]] = entry.get("id") or names[entry["index"]]
            id = names[entry["index"]]
            texts[id] = texts.get(id, "") + (entry["function"].get("arguments") or "")
    return texts
