"""A real model server instead of the built-in one: its responses are forwarded event by event."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import urlsplit

import httpx

from mdstream_core import _json
from mdstream_core.emulator._response_plan import ResponsePlan, UpstreamInterrupted, stream_plan
from mdstream_core.emulator.model_server._errors import ModelServerUnreachable

_TIMEOUT = httpx.Timeout(10.0, read=None)  # seconds; the service's own limits apply to reading
_MAX_EVENT_BYTES, _MAX_BODY_BYTES = 16 * 1024 * 1024, 64 * 1024 * 1024  # bytes; security limits
_STREAMS = ("text/event-stream", "application/jsonlines", "application/x-ndjson")
_DROPPED_HEADERS = {"transfer-encoding", "content-length", "content-encoding", "connection", "date", "keep-alive"}


class UpstreamModelServer:
    """Forwards requests to an OpenAI-compatible server.

    Args:
        url: Base URL, with or without `/v1` at the end.
        key: API key, sent as a bearer token.
        idle: Seconds without bytes after which a stream is abandoned.
        total: Seconds after which a stream is abandoned in any case.
    """

    def __init__(self, url: str, key: str | None = None, idle: float = 60.0, total: float = 300.0) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(
                f"upstream={url!r} is not an http or https URL (hint: use a URL such as http://127.0.0.1:11434/v1)"
            )
        self._base = url.rstrip("/").removesuffix("/v1")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._idle, self._total = idle, total
        self._client: httpx.AsyncClient | None = None

    async def handle_request(self, method: str, path: str, body: bytes) -> ResponsePlan:
        """Forward a request; return the response, whose body may still be arriving.

        Raises:
            ModelServerUnreachable: There is no response.
        """
        try:
            response = await self._send(method, path, body)
            if response.headers.get("content-type", "").startswith(_STREAMS) and response.status_code == 200:
                return stream_plan(_events(response, self._idle, self._total), response.headers["content-type"])
            return _complete_response(response, await _read_body(response))
        except httpx.TransportError as error:
            text = f"The model server at {self._base} cannot be reached: {error or type(error).__name__}"
            raise ModelServerUnreachable(text) from error

    async def check_reachable(self) -> None:
        """Raise `ModelServerUnreachable` if the server does not respond."""
        await self.handle_request("GET", "/v1/models", b"")

    async def resolve_model(self, name: str) -> str:
        """Return the name if the server lists it, else the first model that it lists; without a list, the name."""
        names = _listed_models(await self.handle_request("GET", "/v1/models", b""))
        return name if name in names or not names else names[0]

    async def _send(self, method: str, path: str, body: bytes) -> httpx.Response:
        if self._client is None:  # created on the loop that uses it
            self._client = httpx.AsyncClient(timeout=_TIMEOUT, headers=self._headers)
        headers = {"content-type": "application/json"} if body else {}
        request = self._client.build_request(method, f"{self._base}{path}", content=body, headers=headers)
        return await self._client.send(request, stream=True)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


def _listed_models(plan: ResponsePlan) -> list[str]:
    """Parse the names in a response to `GET /v1/models`; none if it has another format."""
    try:
        document = _json.loads(b"".join(plan.body_chunks))
    except ValueError:
        return []
    entries = document.get("data") if isinstance(document, dict) else None
    return [str(entry["id"]) for entry in entries or () if isinstance(entry, dict) and entry.get("id")]


async def _read_body(response: httpx.Response) -> bytes:
    """Read the whole body. Raises `ModelServerUnreachable` if it is larger than any response of a model."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                raise ModelServerUnreachable(f"The model server's response is larger than {_MAX_BODY_BYTES} bytes")
    finally:
        await response.aclose()
    return bytes(body)


def _complete_response(response: httpx.Response, body: bytes) -> ResponsePlan:
    headers = tuple((name, value) for name, value in response.headers.items() if name.lower() not in _DROPPED_HEADERS)
    return ResponsePlan(response.status_code, headers, (body,), framing="length")


async def _events(response: httpx.Response, idle: float, total: float) -> AsyncGenerator[bytes]:
    """Split the body after blank lines; end it with the service's own error at its time limits."""
    rest = b""
    chunks = response.aiter_bytes()
    deadline = asyncio.get_running_loop().time() + total
    try:
        while (data := await _next_chunk(chunks, idle, deadline)) is not None:
            *events, rest = (rest + data).split(b"\n\n")
            if len(rest) > _MAX_EVENT_BYTES:
                raise UpstreamInterrupted("InternalServerError")
            for event in events:
                yield event + b"\n\n"
        if rest:
            yield rest
    except httpx.TransportError as error:
        raise UpstreamInterrupted("InternalServerError") from error
    finally:
        await response.aclose()


async def _next_chunk(chunks: AsyncIterator[bytes], idle: float, deadline: float) -> bytes | None:
    """Read the next chunk; `None` at the end of the body."""
    remaining = deadline - asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(min(idle, remaining)):
            return await anext(chunks, None)
    except TimeoutError as error:
        raise UpstreamInterrupted("ServiceTimeout" if idle <= remaining else "ModelResponseTimeExceeded") from error
