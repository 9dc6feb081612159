"""The LangChain part of `mdstream demo`."""

from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from langchain_mdstream._chat_model import ChatModel
from langchain_mdstream.chat_models import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatSagemakerEndpoint,
)
from mdstream_core import MDStreamError

FRAMEWORK = "LangChain"
PROMPT = "Name three rivers."

#: Factories of the platforms' models, which connect to an emulator.
MODELS: dict[str, Callable[[Any], ChatModel]] = {
    "oci-model-deployment": lambda emulator: ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none"),
    "oci-genai": lambda emulator: ChatOCIGenAI(
        model="meta.llama-3.3-70b-instruct",
        service_endpoint=emulator.oci_genai.endpoint,
        compartment_id=emulator.oci_genai.compartment_id,
        auth_type="none",
    ),
    "sagemaker": lambda emulator: ChatSagemakerEndpoint(
        endpoint_name=emulator.sagemaker.endpoint_name,
        endpoint_url=emulator.sagemaker.endpoint_url,
        region_name=emulator.sagemaker.region_name,
        auth_type="none",
    ),
    "modelarts": lambda emulator: ChatModelArts(endpoint=emulator.modelarts.websocket_endpoint, auth_type="none"),
}


class _ErrorListener(BaseCallbackHandler):
    """Callback handler that records what `on_llm_error` receives."""

    def __init__(self) -> None:
        self.summary = "nothing"

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Record the error and the partial output."""
        response: LLMResult = kwargs["response"]
        self.summary = f"{type(error).__name__}, and the partial {response.generations[0][0].text!r}"


def stream(model: ChatModel, terminal: Any) -> None:
    """Stream a response, token by token."""
    terminal.label("stream")
    for chunk in model.stream(PROMPT):
        terminal.write_token(chunk.text)
    terminal.finish()


async def astream(model: ChatModel, terminal: Any) -> None:
    """Stream a response asynchronously."""
    terminal.label("astream")
    async for chunk in model.astream(PROMPT):
        terminal.write_token(chunk.text)
    terminal.finish()
    await model.aclose()


def failure(model: ChatModel, terminal: Any) -> None:
    """Stream a response that the service interrupts."""
    listener = _ErrorListener()
    terminal.label("stream")
    try:
        for chunk in model.stream(PROMPT, {"callbacks": [listener]}):
            terminal.write_token(chunk.text)
    except MDStreamError as error:
        terminal.fail()
        terminal.line("error", f"{type(error).__name__}: {error}", "red")
        terminal.line("code", str(error.code))
        terminal.line("request id", str(error.request_id))
        terminal.line("partial", repr(error.partial.text if error.partial else ""))
        terminal.line("on_llm_error", listener.summary)
    else:
        terminal.line("error", "the interrupted stream was reported as complete", "red")
