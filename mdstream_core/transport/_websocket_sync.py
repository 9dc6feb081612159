"""WebSocket for threads. Its twin is `_websocket_async`: whoever changes one changes the other."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mdstream_core.transport._sync import Timeouts, Transport
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

    def __iter__(self) -> Iterator[bytes]:
        talk, network = self._talk, self._network
        try:
            while not talk.over:
                try:
                    self.say()
                    data = network.read(READ_SIZE, talk.wait(self._timeouts))
                except talk.forgiven:
                    break
                if (body := talk.feed(data)) or not talk.over:
                    yield body
            with suppress(*talk.forgiven):
                self.say()
            talk.check()
        finally:
            self.close()

    def say(self) -> None:
        """Write what is due."""
        if due := self._talk.due():
            self._network.write(due, self._timeouts.get("write"))

    def close(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self._closed = True
            self._response.close()


class SpeakingTransport(Transport):
    """The transport, for requests to ws:// and wss:// too."""

    def handle_request(self, request: "httpx.Request") -> "httpx.Response":
        """Ask; over a WebSocket if the URL says so."""
        if request.url.scheme not in SCHEMES:
            return super().handle_request(request)
        question = b"".join([piece for piece in request.stream])  # type: ignore[union-attr]  # noqa: C416
        talk = Talk(self.pair, request)
        with self.pair.translated():
            response = self._pool.handle_request(self.pair.to_core(talk.request))
            if response.status != 101:
                return self.pair.to_face(response, self.stream_type(self.pair, response.stream))  # type: ignore[no-any-return]
            messages = Messages(response, talk, request.extensions.get("timeout", {}))
            try:
                talk.ask(response, question)
                messages.say()
            except BaseException:
                messages.close()
                raise
        return talk.answer(response, self.stream_type(self.pair, messages))  # type: ignore[no-any-return]
