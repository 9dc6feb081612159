"""LangGraph behind FastAPI: the model's connection closes when the browser leaves.

pip install fastapi uvicorn langgraph "mdstream-llm[langchain]"
MDSTREAM_ENDPOINT=https://… uvicorn examples.fastapi_langgraph:app
curl -N "http://127.0.0.1:8000/chat?prompt=hello"
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langgraph.graph import START, MessagesState, StateGraph

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import MDStreamError, read_in_task

chat = ChatOCIModelDeployment(
    endpoint=os.environ["MDSTREAM_ENDPOINT"], auth_type=os.environ.get("MDSTREAM_AUTH_TYPE", "none")
)


async def call_model(state: MessagesState) -> dict[str, Any]:
    """Answer the conversation."""
    return {"messages": [await chat.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node("model", call_model).add_edge(START, "model").compile()


def format_event(event: str, data: dict[str, Any]) -> str:
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
        except MDStreamError as error:
            yield format_event("error", {"code": error.code, "partial": text, "message": "The answer was interrupted."})
        else:
            yield format_event("done", {})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Close the model's connections when the server stops."""
    yield
    await chat.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/chat")
async def chat_endpoint(prompt: str) -> StreamingResponse:
    """Stream the answer."""
    return StreamingResponse(stream_events(prompt), media_type="text/event-stream")
