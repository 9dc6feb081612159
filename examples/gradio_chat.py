"""A Gradio chat that shows the partial answer and one sentence when a stream fails.

pip install gradio "mdstream-llm[langchain]"
MDSTREAM_ENDPOINT=https://… python examples/gradio_chat.py
"""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing

import gradio as gr
from langchain_core.messages import convert_to_messages

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import MDStreamError

INTERRUPTED = "\n\n*The answer was interrupted"

chat = ChatOCIModelDeployment(
    endpoint=os.environ["MDSTREAM_ENDPOINT"], auth_type=os.environ.get("MDSTREAM_AUTH_TYPE", "none")
)


def read_text(message: dict) -> str:
    """Return the text of a message of Gradio's history: parts from the browser, a string from Gradio's API.

    The sentence after an interrupted answer is for the user; the model gets the answer without it.
    """
    content = message["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content if part["type"] == "text")
    return text.partition(INTERRUPTED)[0] if message["role"] == "assistant" else text


async def answer(prompt: str, history: list[dict]) -> AsyncIterator[str]:
    """Yield the answer so far after each chunk."""
    messages = [{"role": message["role"], "content": read_text(message)} for message in history]
    chunks = chat.astream(convert_to_messages([*messages, {"role": "user", "content": prompt}]))
    text = ""
    async with aclosing(chunks):
        try:
            async for chunk in chunks:
                text += chunk.text
                yield text
        except MDStreamError as error:
            yield f"{text}{INTERRUPTED} ({error.code or type(error).__name__}).*"


app = gr.ChatInterface(answer, title="Chat")

if __name__ == "__main__":
    app.launch()
