"""The LlamaIndex part of `mdstream demo`."""

from collections.abc import Callable
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.llms import ChatMessage

from llamaindex_mdstream._base import MDStreamLLM
from llamaindex_mdstream.llms import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM
from mdstream_core import MDStreamError

FRAMEWORK = "LlamaIndex"
MESSAGES = [ChatMessage(content="Name three rivers.")]

#: A model of each platform on the emulator.
MODELS: dict[str, Callable[[Any], MDStreamLLM]] = {
    "oci-model-deployment": lambda emulator: OCIDataScience(endpoint=emulator.endpoint, auth_type="none"),
    "oci-genai": lambda emulator: OCIGenAI(
        model="meta.llama-3.3-70b-instruct",
        service_endpoint=emulator.oci_genai.endpoint,
        compartment_id=emulator.oci_genai.compartment_id,
        auth_type="none",
    ),
    "sagemaker": lambda emulator: SageMakerLLM(
        endpoint_name=emulator.sagemaker.endpoint_name,
        endpoint_url=emulator.sagemaker.endpoint_url,
        region_name=emulator.sagemaker.region_name,
        auth_type="none",
    ),
    "modelarts": lambda emulator: ModelArts(endpoint=emulator.modelarts.websocket_endpoint, auth_type="none"),
}


class _EndListener(BaseCallbackHandler):
    """Stores the failure that is reported by the end event of an LLM call."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.payload = "nothing"

    def on_event_start(self, event_type: CBEventType, *_: Any, **__: Any) -> str:
        """Ignore the start."""
        return ""

    def on_event_end(self, event_type: CBEventType, payload: dict[str, Any] | None = None, *_: Any, **__: Any) -> None:
        """Store the error and the partial response of a failed call."""
        if payload and (error := payload.get(EventPayload.EXCEPTION)):
            self.payload = f"{type(error).__name__}, and the partial {payload[EventPayload.RESPONSE].message.content!r}"

    def start_trace(self, trace_id: str | None = None) -> None:
        """Not used."""

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Not used."""


def stream(model: MDStreamLLM, terminal: Any) -> None:
    """Stream a complete response."""
    terminal.label("stream_chat")
    for response in model.stream_chat(MESSAGES):
        terminal.write_token(response.delta or "")
    terminal.finish()


async def astream(model: MDStreamLLM, terminal: Any) -> None:
    """Stream a complete response with the async API."""
    terminal.label("astream_chat")
    async for response in await model.astream_chat(MESSAGES):
        terminal.write_token(response.delta or "")
    terminal.finish()
    await model.aclose()


def failure(model: MDStreamLLM, terminal: Any) -> None:
    """Stream a response that the service interrupts."""
    listener = _EndListener()
    model.callback_manager = CallbackManager([listener])
    terminal.label("stream_chat")
    try:
        for response in model.stream_chat(MESSAGES):
            terminal.write_token(response.delta or "")
    except MDStreamError as error:
        terminal.fail()
        terminal.line("error", f"{type(error).__name__}: {error}", "red")
        terminal.line("code", str(error.code))
        terminal.line("request id", str(error.request_id))
        terminal.line("partial", repr(error.partial.text if error.partial else ""))
        terminal.line("on_event_end", listener.payload)
    else:
        terminal.line("error", "the interrupted stream was reported as complete", "red")
