"""WebSocket for tasks. Its twin is `_websocket_sync`: whoever changes one changes the other."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mdstream_core.transport._async import AsyncTransport, Timeouts
from mdstream_core.transport._websocket import READ_SIZE, SCHEMES, Talk

if TYPE_CHECKING:
    import httpx


class Messages:
    """The body of an answer that comes as messages, one piece for each read."""

    def __init__(self, response: Any, talk: Talk, timeouts: Timeouts) -> None:
        self._response = response
        self._network = response.extensions["network_stream"]
        self._talk = talk
        self._timeouts = timeouts
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        talk, network = self._talk, self._network
        try:
            while not talk.over:
                try:
                    await self.say()
                    data = await network.read(READ_SIZE, talk.wait(self._timeouts))
                except talk.forgiven:
                    break
                if (body := talk.feed(data)) or not talk.over:
                    yield body
            with suppress(*talk.forgiven):
                await self.say()
            talk.check()
        finally:
            await self.aclose()

    async def say(self) -> None:
        """Write what is due."""
        if due := self._talk.due():
            await self._network.write(due, self._timeouts.get("write"))

    async def aclose(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self._closed = True
            await self._response.aclose()


class SpeakingTransport(AsyncTransport):
    """The transport, for requests to ws:// and wss:// too."""

    async def handle_async_request(self, request: "httpx.Request") -> "httpx.Response":
        """Ask; over a WebSocket if the URL says so."""
        if request.url.scheme not in SCHEMES:
            return await super().handle_async_request(request)
        question = b"".join([piece async for piece in request.stream])  # type: ignore[union-attr]
        talk = Talk(self.pair, request)
        with self.pair.translated():
            response = await self._pool.handle_async_request(self.pair.to_core(talk.request))
            if response.status != 101:
                return self.pair.to_face(response, self.stream_type(self.pair, response.stream))  # type: ignore[no-any-return]
            messages = Messages(response, talk, request.extensions.get("timeout", {}))
            try:
                talk.ask(response, question)
                await messages.say()
            except BaseException:
                await messages.aclose()
                raise
        return talk.answer(response, self.stream_type(self.pair, messages))  # type: ignore[no-any-return]
