"""A Chainlit chat that shows the partial answer and one sentence when a stream fails.

pip install chainlit "mdstream-llm[langchain]"
MDSTREAM_ENDPOINT=https://… chainlit run examples/chainlit_chat.py
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import chainlit as cl
from chainlit.server import app
from fastapi import Request, Response
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, merge_message_runs

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import MDStreamError

chat = ChatOCIModelDeployment(
    endpoint=os.environ["MDSTREAM_ENDPOINT"], auth_type=os.environ.get("MDSTREAM_AUTH_TYPE", "none")
)


def read_history() -> list[BaseMessage]:
    """Return the conversation for the model, without failure sentences and Chainlit's own messages.

    Messages of the user become one where an answer failed before its first word, as many models require that the roles
    alternate.
    """
    kinds = {"user_message": HumanMessage, "assistant_message": AIMessage}
    messages = [
        kinds[message.type](message.content)
        for message in cl.chat_context.get()
        if message.type == "user_message" or (message.metadata or {}).get("is_answer")
    ]
    return merge_message_runs([message for message in messages if message.text])


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Stream the answer to the page; the text that has arrived stays, however the stream ends."""
    cl.user_session.set("task", asyncio.current_task())
    reply, failure = cl.Message("", metadata={"is_answer": True}), None
    try:
        async with aclosing(chat.astream(read_history())) as chunks:
            async for chunk in chunks:
                await reply.stream_token(chunk.text)
    except MDStreamError as error:
        failure = f"The answer was interrupted ({error.code or type(error).__name__})."
    finally:
        if reply.content:
            await reply.send()
    if failure:
        await cl.ErrorMessage(failure).send()


@cl.on_chat_end
def stop() -> None:
    """Cancel the answer when the user leaves: Chainlit itself cancels it for the stop button only."""
    if task := cl.user_session.get("task"):
        task.cancel()


async def forbid_page_cache(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let browsers not keep the page for their back button: it would keep its connection, as if the user had stayed."""
    response = await call_next(request)
    if response.headers.get("content-type", "").startswith("text/html"):
        response.headers["cache-control"] = "no-store"
    return response


if app.middleware_stack is None:  # `chainlit run --watch` loads this file again in a server that runs
    app.middleware("http")(forbid_page_cache)
