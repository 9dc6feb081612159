"""A real model server in the container's place: what it says is passed on, event by event."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import urlsplit

import httpx

from mdstream_core import _json
from mdstream_core.emulator._response_plan import ResponsePlan, UpstreamInterrupted, stream_plan
from mdstream_core.emulator.model_server._errors import ModelServerUnreachable

_TIMEOUT = httpx.Timeout(10.0, read=None)  # the service's own limits decide
_LARGEST_EVENT, _LARGEST_BODY = 16 * 1024 * 1024, 64 * 1024 * 1024  # bytes; security limits
_STREAMS = ("text/event-stream", "application/jsonlines", "application/x-ndjson")
_DROPPED_HEADERS = {"transfer-encoding", "content-length", "content-encoding", "connection", "date", "keep-alive"}


class UpstreamModelServer:
    """Passes requests on to an OpenAI-compatible server.

    Args:
        url: Its base, which may end with `/v1` as OpenAI clients have it.
        key: Sent as a bearer key.
        idle: Seconds of silence after which a stream is given up.
        total: Seconds after which it is given up in any case.
    """

    def __init__(self, url: str, key: str | None = None, idle: float = 60.0, total: float = 300.0) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(f"upstream={url!r} must be an http or https URL, for example http://127.0.0.1:11434/v1")
        self._base = url.rstrip("/").removesuffix("/v1")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._idle, self._total = idle, total
        self._client: httpx.AsyncClient | None = None

    async def handle_request(self, method: str, path: str, body: bytes) -> ResponsePlan:
        """The server's answer, begun.

        Raises:
            Unreachable: There is no answer.
        """
        try:
            response = await self._send(method, path, body)
            if response.headers.get("content-type", "").startswith(_STREAMS) and response.status_code == 200:
                return stream_plan(_events(response, self._idle, self._total), response.headers["content-type"])
            return _complete_response(response, await _body(response))
        except httpx.TransportError as error:
            text = f"The model server at {self._base} cannot be reached: {error or type(error).__name__}"
            raise ModelServerUnreachable(text) from error

    async def check_reachable(self) -> None:
        """Raise `ModelServerUnreachable` where it does not answer."""
        await self.handle_request("GET", "/v1/models", b"")

    async def resolve_model(self, name: str) -> str:
        """A name that the server lists as it is; for another its first model. Without a list the name stays."""
        names = _listed_models(await self.handle_request("GET", "/v1/models", b""))
        return name if name in names or not names else names[0]

    async def _send(self, method: str, path: str, body: bytes) -> httpx.Response:
        if self._client is None:  # made on the loop that uses it
            self._client = httpx.AsyncClient(timeout=_TIMEOUT, headers=self._headers)
        headers = {"content-type": "application/json"} if body else {}
        request = self._client.build_request(method, f"{self._base}{path}", content=body, headers=headers)
        return await self._client.send(request, stream=True)

    async def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            await self._client.aclose()


def _listed_models(plan: ResponsePlan) -> list[str]:
    """The names in an answer to `GET /v1/models`; none where it is something else."""
    try:
        document = _json.loads(b"".join(plan.body_chunks))
    except ValueError:
        return []
    entries = document.get("data") if isinstance(document, dict) else None
    return [str(one["id"]) for one in entries or () if isinstance(one, dict) and one.get("id")]


async def _body(response: httpx.Response) -> bytes:
    """The whole body. Raises `ModelServerUnreachable` where it is larger than any response of a model."""
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > _LARGEST_BODY:
                raise ModelServerUnreachable(f"The model server's response is larger than {_LARGEST_BODY} bytes")
    finally:
        await response.aclose()
    return bytes(body)


def _complete_response(response: httpx.Response, body: bytes) -> ResponsePlan:
    kept = tuple((name, value) for name, value in response.headers.items() if name.lower() not in _DROPPED_HEADERS)
    return ResponsePlan(response.status_code, kept, (body,), framing="length")


async def _events(response: httpx.Response, idle: float, total: float) -> AsyncGenerator[bytes]:
    """The body cut after blank lines, whatever pieces it came in; given up where the service would give up."""
    rest = b""
    pieces = response.aiter_bytes()
    late = asyncio.get_running_loop().time() + total
    try:
        while (data := await _next(pieces, idle, late)) is not None:
            *events, rest = (rest + data).split(b"\n\n")
            if len(rest) > _LARGEST_EVENT:
                raise UpstreamInterrupted("InternalServerError")
            for event in events:
                yield event + b"\n\n"
        if rest:
            yield rest
    except httpx.TransportError as error:
        raise UpstreamInterrupted("InternalServerError") from error
    finally:
        await response.aclose()


async def _next(pieces: AsyncIterator[bytes], idle: float, late: float) -> bytes | None:
    """The next piece, `None` at the end."""
    left = late - asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(min(idle, left)):
            return await anext(pieces, None)
    except TimeoutError as error:
        raise UpstreamInterrupted("ServiceTimeout" if idle <= left else "ModelResponseTimeExceeded") from error
