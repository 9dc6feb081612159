"""LangGraph behind FastAPI: the model's connection closes when the browser leaves.

pip install fastapi uvicorn langgraph "mdstream-llm[langchain]"
MDSTREAM_ENDPOINT=https://… uvicorn examples.fastapi_langgraph:app
curl -N "http://127.0.0.1:8000/chat?prompt=hello"
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain_core.exceptions import ModelError
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langchain_mdstream import ChatOCIModelDeployment

chat = ChatOCIModelDeployment(
    endpoint=os.environ["MDSTREAM_ENDPOINT"], auth_type=os.environ.get("MDSTREAM_AUTH_TYPE", "none")
)


async def call_model(state: MessagesState, config: RunnableConfig) -> dict[str, list]:
    """Answer the conversation."""
    return {"messages": [await chat.ainvoke(state["messages"], config)]}


graph = StateGraph(MessagesState).add_node("model", call_model).add_edge(START, "model").compile()


async def read_in_task(stream: AsyncGenerator) -> AsyncIterator:
    """Read a graph's stream in a task of its own, which is cancelled once when the reader leaves.

    Starlette cancels a response again and again until it ends, which interrupts LangGraph while it cancels its nodes.
    """
    queue: asyncio.Queue = asyncio.Queue(maxsize=1)
    end = object()

    async def pump() -> None:
        async with aclosing(stream):
            async for item in stream:
                await queue.put(item)
        await queue.put(end)

    task = asyncio.create_task(pump())
    try:
        while True:
            get = asyncio.create_task(queue.get())
            await asyncio.wait({task, get}, return_when=asyncio.FIRST_COMPLETED)
            if not get.done() and task.done() and queue.empty():
                get.cancel()
                task.result()  # raises the failure of the stream
            if (item := await get) is end:
                return
            yield item
    finally:
        task.cancel()


def format_event(event: str, data: dict) -> str:
    """Format a server-sent event."""
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"


async def stream_events(prompt: str) -> AsyncIterator[str]:
    """Yield the graph's answer as server-sent events that end with `done` or `error`."""
    text = ""
    messages = read_in_task(graph.astream({"messages": prompt}, stream_mode="messages"))
    async with aclosing(messages):
        try:
            async for message, _ in messages:
                text += message.text
                yield format_event("token", {"text": message.text})
        except ModelError as error:
            yield format_event("error", {"code": error.code, "partial": text, "message": "The answer was interrupted."})
        else:
            yield format_event("done", {})


app = FastAPI()


@app.get("/chat")
async def chat_endpoint(prompt: str) -> StreamingResponse:
    """Stream the answer."""
    return StreamingResponse(stream_events(prompt), media_type="text/event-stream")
