"""What `mdstream demo` shows of LangChain."""

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from langchain_mdstream.chat_models import ChatOCIModelDeployment
from mdstream_core import MDStreamError

TITLE = "LangChain · ChatOCIModelDeployment"
QUESTION = "Name three rivers."


class _Listener(BaseCallbackHandler):
    """Keeps what `on_llm_error` is told."""

    def __init__(self) -> None:
        self.told = "nothing"

    def on_llm_error(self, error: BaseException, **told: Any) -> None:
        """Keep it."""
        response: LLMResult = told["response"]
        self.told = f"{type(error).__name__}, and the partial {response.generations[0][0].text!r}"


def _chat(endpoint: str) -> ChatOCIModelDeployment:
    return ChatOCIModelDeployment(endpoint=endpoint, auth_type="none")


def stream(endpoint: str, terminal: Any) -> None:
    """A whole answer, token by token."""
    terminal.label("stream")
    for chunk in _chat(endpoint).stream(QUESTION):
        terminal.token(chunk.text)
    terminal.end()


async def astream(endpoint: str, terminal: Any) -> None:
    """The same, asynchronously."""
    terminal.label("astream")
    chat = _chat(endpoint)
    async for chunk in chat.astream(QUESTION):
        terminal.token(chunk.text)
    terminal.end()
    await chat.aclose()


def failure(endpoint: str, terminal: Any) -> None:
    """An answer that the service breaks off."""
    listener = _Listener()
    terminal.label("stream")
    try:
        for chunk in _chat(endpoint).stream(QUESTION, {"callbacks": [listener]}):
            terminal.token(chunk.text)
    except MDStreamError as error:
        terminal.broken()
        terminal.line("error", f"{type(error).__name__}: {error}", "red")
        terminal.line("code", str(error.code))
        terminal.line("request id", str(error.request_id))
        terminal.line("partial", repr(error.partial.text if error.partial else ""))
        terminal.line("on_llm_error", listener.told)
    else:
        terminal.line("error", "the broken stream was taken for a whole one", "red")
