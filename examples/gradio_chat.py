"""A Gradio chat that shows the partial answer and one sentence when a stream fails.

pip install gradio "mdstream-llm[langchain]"
MDSTREAM_ENDPOINT=https://… python examples/gradio_chat.py
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing

import gradio as gr
from langchain_core.messages import BaseMessage, convert_to_messages, merge_message_runs

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import MDStreamError

INTERRUPTED = "\n\n*The answer was interrupted"

chat = ChatOCIModelDeployment(
    endpoint=os.environ["MDSTREAM_ENDPOINT"], auth_type=os.environ.get("MDSTREAM_AUTH_TYPE", "none")
)

#: The session of each answer in progress, by the task that Gradio runs it in.
sessions: dict[asyncio.Task, str] = {}


def read_text(message: dict) -> str:
    """Return the text of a message of Gradio's history: parts from the browser, a string from Gradio's API.

    The sentence after an interrupted answer is for the user; the model gets the answer without it.
    """
    content = message["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content if part["type"] == "text")
    return text.partition(INTERRUPTED)[0] if message["role"] == "assistant" else text


def read_history(history: list[dict]) -> list[BaseMessage]:
    """Return the conversation for the model.

    Messages without text, of answers that failed before their first word, are left out: services reject them. The
    user's messages around them become one, as many models require that the roles alternate.
    """
    texts = [{"role": message["role"], "content": read_text(message)} for message in history]
    return merge_message_runs(convert_to_messages([message for message in texts if message["content"]]))


async def answer(prompt: str, history: list[dict], request: gr.Request) -> AsyncIterator[str]:
    """Yield the answer so far after each chunk."""
    chunks = chat.astream(read_history([*history, {"role": "user", "content": prompt}]))
    text, task = "", asyncio.current_task()
    sessions[task] = request.session_hash
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                text += chunk.text
                yield text
    except MDStreamError as error:
        yield f"{text}{INTERRUPTED} ({error.code or type(error).__name__}).*"
    finally:
        del sessions[task]


async def stop(request: gr.Request) -> None:
    """Cancel the answer when the user leaves: Gradio itself cancels it for the stop button only."""
    for task, session in sessions.items():
        if session == request.session_hash:
            task.cancel()


# By default Gradio runs one answer at a time: users would wait for the answers of others.
app = gr.ChatInterface(answer, title="Chat", concurrency_limit=None)
with app:
    app.unload(stop)

if __name__ == "__main__":
    app.launch()
