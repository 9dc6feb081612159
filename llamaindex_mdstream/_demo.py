"""What `mdstream demo` shows of LlamaIndex."""

from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.llms import ChatMessage

from llamaindex_mdstream.llms import OCIDataScience
from mdstream_core import MDStreamError

TITLE = "LlamaIndex · OCIDataScience"
QUESTION = [ChatMessage(content="Name three rivers.")]


class _Listener(BaseCallbackHandler):
    """Keeps what the end of an LLM event is told."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.told = "nothing"

    def on_event_start(self, event_type: CBEventType, *_: Any, **__: Any) -> str:
        """Nothing to keep."""
        return ""

    def on_event_end(self, event_type: CBEventType, payload: dict[str, Any] | None = None, *_: Any, **__: Any) -> None:
        """Keep it."""
        if payload and (error := payload.get(EventPayload.EXCEPTION)):
            self.told = f"{type(error).__name__}, and the partial {payload[EventPayload.RESPONSE].message.content!r}"

    def start_trace(self, trace_id: str | None = None) -> None:
        """Not used."""

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Not used."""


def _llm(endpoint: str, *listeners: BaseCallbackHandler) -> OCIDataScience:
    return OCIDataScience(endpoint=endpoint, auth_type="none", callback_manager=CallbackManager(list(listeners)))


def stream(endpoint: str, terminal: Any) -> None:
    """A whole answer, token by token."""
    terminal.label("stream_chat")
    for response in _llm(endpoint).stream_chat(QUESTION):
        terminal.token(response.delta or "")
    terminal.end()


async def astream(endpoint: str, terminal: Any) -> None:
    """The same, asynchronously."""
    terminal.label("astream_chat")
    llm = _llm(endpoint)
    async for response in await llm.astream_chat(QUESTION):
        terminal.token(response.delta or "")
    terminal.end()
    await llm.aclose()


def failure(endpoint: str, terminal: Any) -> None:
    """An answer that the service breaks off."""
    listener = _Listener()
    terminal.label("stream_chat")
    try:
        for response in _llm(endpoint, listener).stream_chat(QUESTION):
            terminal.token(response.delta or "")
    except MDStreamError as error:
        terminal.broken()
        terminal.line("error", f"{type(error).__name__}: {error}", "red")
        terminal.line("code", str(error.code))
        terminal.line("request id", str(error.request_id))
        terminal.line("partial", repr(error.partial.text if error.partial else ""))
        terminal.line("on_event_end", listener.told)
    else:
        terminal.line("error", "the broken stream was taken for a whole one", "red")
