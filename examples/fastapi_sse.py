"""Server-sent events with FastAPI, from a LangChain and from a LlamaIndex model, and a page that shows them.

pip install fastapi uvicorn "mdstream-llm[langchain,llamaindex]"
MDSTREAM_ENDPOINT=https://… uvicorn examples.fastapi_sse:app
Then open http://127.0.0.1:8000
"""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, StreamingResponse
from llama_index.core.llms import ChatMessage

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
from mdstream_core import MDStreamError
from mdstream_core.errors import RateLimited

PAGE = """<!doctype html><meta charset="utf-8"><title>Chat</title>
<form><input name="prompt" value="Name three rivers."><button>Ask</button></form><p id="text"></p><p id="status"></p>
<script>
const text = document.getElementById("text"), status = document.getElementById("status");
document.forms[0].addEventListener("submit", event => {
  event.preventDefault();
  text.textContent = ""; status.textContent = "…";
  const source = new EventSource("langchain?prompt=" + encodeURIComponent(document.forms[0].prompt.value));
  const end = message => { source.close(); status.textContent = message; };
  addEventListener("pagehide", () => source.close());  // a page in the back/forward cache keeps its connections
  source.addEventListener("token", event => { text.textContent += JSON.parse(event.data).text; });
  source.addEventListener("done", () => end(""));
  source.addEventListener("error", event => end(event.data ? JSON.parse(event.data).message : "The model is busy."));
});
</script>"""

fields: dict[str, Any] = {
    "endpoint": os.environ["MDSTREAM_ENDPOINT"],
    "auth_type": os.environ.get("MDSTREAM_AUTH_TYPE", "none"),
}
chat, llm = ChatOCIModelDeployment(**fields), OCIDataScience(**fields)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Close the models' connections when the server stops."""
    yield
    await chat.aclose()
    await llm.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def page() -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(PAGE)


@app.get("/langchain")
async def langchain_endpoint(prompt: str) -> StreamingResponse:
    """Stream the answer of a LangChain model."""
    return await respond(chunk.text async for chunk in chat.astream(prompt))


@app.get("/llamaindex")
async def llamaindex_endpoint(prompt: str) -> StreamingResponse:
    """Stream the answer of a LlamaIndex model."""
    return await respond(stream_llamaindex(prompt))


async def stream_llamaindex(prompt: str) -> AsyncGenerator[str]:
    """Yield the texts of the answer."""
    async for response in await llm.astream_chat([ChatMessage(prompt)]):
        yield response.delta or ""


async def respond(texts: AsyncGenerator[str]) -> StreamingResponse:
    """Wait for the first text, so that a failure before it has an error status, and stream the rest."""
    try:
        first = await anext(texts, "")
    except RateLimited as error:
        raise HTTPException(429, "The model is busy.") from error
    except MDStreamError as error:
        raise HTTPException(502, "The model failed.") from error
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # nginx must not buffer the stream
    return StreamingResponse(stream_events(first, texts), media_type="text/event-stream", headers=headers)


async def stream_events(partial: str, texts: AsyncGenerator[str]) -> AsyncIterator[str]:
    """Yield server-sent events that end with `done`, or with `error` and the partial answer."""
    async with aclosing(texts):  # closes the connection to the model when the browser leaves
        try:
            yield format_event("token", {"text": partial})
            async for text in texts:
                partial += text
                yield format_event("token", {"text": text})
        except MDStreamError as error:
            message = "The answer was interrupted; this is what arrived."
            yield format_event("error", {"code": error.code, "partial": partial, "message": message})
        else:
            yield format_event("done", {})


def format_event(event: str, data: dict[str, Any]) -> str:
    """Format a server-sent event."""
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"
