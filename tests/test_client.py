"""The two clients over real sockets, against a server that says what a test tells it to say."""

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from typing import Any, ClassVar

import httpx
import httpx2
import pytest
import trio
from _raw_server import Peer, RawServer, answer, serving
from _samples import QUESTION

from mdstream_core import AsyncClient, Call, Client, OCIModelDeployment, OpenAIChat, Retry, Timeout
from mdstream_core.auth import Signer
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    MDStreamError,
    RateLimited,
    ServerError,
    StreamFailure,
    StreamInterrupted,
    StreamStalled,
)
from mdstream_core.events import Event, Finish, Reply, TextDelta
from mdstream_core.http import Request
from mdstream_core.tracing import AskedAgain
from mdstream_core.transport import async_http_client, http_client

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nopc-request-id: r\r\n\r\n"
FAILED = b"0\r\nStreamFailure: ErrorCode=RequestTimeout, HttpCode=408, ErrorReason=ServiceTimeout\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HI = chunk(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')
STOP = chunk(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')
DONE = chunk(b"data: [DONE]\n\n")
PING = chunk(b": ping\n\n")
WHOLE = HEAD + HI + STOP + DONE + END


def refusal(status: bytes, body: bytes = b"{}", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, fields, len(body), body)


class Hasty(OCIModelDeployment):
    """Does not wait long for the end."""

    drain: ClassVar[float] = 0.3


def call(
    server: RawServer, *, stream: bool = True, platform: type[OCIModelDeployment] = OCIModelDeployment, **options: Any
) -> Call:
    options = {"retry": Retry(0), "timeout": Timeout(read=5, total=10), **options}
    return Call(platform(f"{server.url}/ocid1.x"), OpenAIChat(), QUESTION, stream=stream, **options)


def sync(server: RawServer, auth: Any = None, http: Any = None, **options: Any) -> list[Event]:
    client = Client(auth, http, trust_env=False)
    events: list[Event] = []
    try:
        for event in client.stream(call(server, **options)):
            events.append(event)  # noqa: PERF402  # what came before an error is wanted
    except MDStreamError as error:
        error.events = events  # type: ignore[attr-defined]
        raise
    finally:
        client.close()
    return events


def asyn(server: RawServer, auth: Any = None, http: Any = None, **options: Any) -> list[Event]:
    async def main() -> list[Event]:
        client = AsyncClient(auth, http, trust_env=False)
        events: list[Event] = []
        try:
            async for event in client.stream(call(server, **options)):
                events.append(event)  # noqa: PERF401
        except MDStreamError as error:
            error.events = events  # type: ignore[attr-defined]
            raise
        finally:
            await client.aclose()
        return events

    return asyncio.run(main())


Ask = Callable[..., list[Event]]
both = pytest.mark.parametrize("ask", [sync, asyn])


@both
def test_an_answer_comes_out_whole(ask: Ask) -> None:
    """
    The events in order, and the request as OCI wants it.
    """
    with serving(answer(HEAD, HI, HI, STOP, DONE, END)) as server:
        events = ask(server)

    assert [TextDelta("Hi"), TextDelta("Hi"), Finish("stop")] == events[1:]
    head = server.requests[0].lower()
    assert b"post /ocid1.x/predictwithresponsestream http/1.1" in head
    assert b"te: trailers" in head
    assert b"route: /v1/chat/completions" in head


@both
def test_a_trailer_is_a_failure(ask: Ask) -> None:
    """
    After [DONE], at the end of everything: the error knows the text, the code and the request id.
    """
    with serving(answer(HEAD, HI, STOP, DONE, FAILED)) as server, pytest.raises(StreamFailure) as caught:
        ask(server)

    error = caught.value
    assert ("ServiceTimeout", 408, "r", "Hi") == (error.code, error.status, error.request_id, error.partial.text)
    assert "streamfailure" in error.response.headers
    assert "Hi" == Reply.of(error.events).text


@both
@pytest.mark.parametrize("reset", [True, False])
def test_a_cut_cable_is_an_interruption(ask: Ask, reset: bool) -> None:
    """
    Whatever was received is the partial; also where the finish reason had come.
    """
    for parts in ((HEAD, HI), (HEAD, HI, STOP, DONE), (HEAD, HI, STOP, DONE, b"0\r\n")):
        with serving(answer(*parts, close=True, reset=reset)) as server, pytest.raises(StreamInterrupted) as caught:
            ask(server)
        assert "Hi" == Reply.of(caught.value.events).text == caught.value.partial.text


@both
def test_no_server_is_a_failed_connection(ask: Ask) -> None:
    """
    Nobody listens: the error says so and keeps the id that we sent.
    """
    with serving(answer(WHOLE)) as server:
        pass
    with pytest.raises(ConnectionFailed, match="not reached") as caught:
        ask(server)
    assert caught.value.request_id


@both
def test_pings_do_not_extend_the_silence(ask: Ask) -> None:
    """
    A server that only pings is stalled all the same.
    """
    began = time.monotonic()
    with (
        serving(answer(HEAD, HI, *[PING] * 40, pause=0.05)) as server,
        pytest.raises(StreamStalled, match="timeout.read") as caught,
    ):
        ask(server, timeout=Timeout(read=0.3))
    assert "Hi" == caught.value.partial.text
    assert 0.25 < time.monotonic() - began < 1.5


@both
def test_silence_is_a_stall(ask: Ask) -> None:
    """
    Before the head and in the middle; the words name the limit.
    """
    for parts in ((b"",), (HEAD,), (HEAD, HI)):
        with serving(answer(*parts)) as server, pytest.raises(StreamStalled, match=r"timeout\.read"):
            ask(server, timeout=Timeout(read=0.1))


@both
def test_the_first_token_and_the_whole_have_limits(ask: Ask) -> None:
    """
    Each limit is named by the error that it ends with.
    """
    with (
        serving(answer(HEAD, *[PING] * 20, HI, pause=0.05)) as server,
        pytest.raises(StreamStalled, match=r"timeout\.first_token"),
    ):
        ask(server, timeout=Timeout(first_token=0.2))
    with (
        serving(answer(HEAD, *[HI] * 20, pause=0.05)) as server,
        pytest.raises(StreamStalled, match=r"timeout\.total") as caught,
    ):
        ask(server, timeout=Timeout(total=0.3))
    assert caught.value.partial.text.startswith("HiHi")


@both
def test_the_end_of_an_answer_is_waited_for_but_not_for_ever(ask: Ask) -> None:
    """
    After [DONE] the trailer may take its time; a service that does not say how it went is not believed.
    """
    with serving(answer(HEAD, HI + STOP + DONE, END, pause=0.15)) as server:
        assert "Hi" == Reply.of(ask(server, platform=Hasty)).text
    with (
        serving(answer(HEAD, HI + STOP + DONE)) as server,
        pytest.raises(StreamStalled, match="did not end it within 0.3 s") as caught,
    ):
        ask(server, platform=Hasty)
    assert "Hi" == caught.value.partial.text


@both
def test_failures_before_the_first_event_are_asked_again(ask: Ask) -> None:
    """
    503, a wish to wait, a broken answer, and then the answer: one stream for the caller.
    """
    replies = iter([refusal(b"503 Busy"), refusal(b"429 Slow", fields=b"retry-after: 0\r\n"), HEAD + END, WHOLE])

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(next(replies))

    moments: list[Any] = []
    with serving(script) as server:
        events = ask(server, retry=Retry(3, base=0.01), hooks=(moments.append,))

    assert "Hi" == Reply.of(events).text
    assert 4 == len(server.requests)
    assert [ServerError, RateLimited, StreamInterrupted] == [
        type(m.error) for m in moments if isinstance(m, AskedAgain)
    ]


@both
def test_a_wait_that_is_longer_than_the_call_is_not_begun(ask: Ask) -> None:
    """
    Retry-After 60 with 2 s left: the refusal is raised at once.
    """
    began = time.monotonic()
    with serving(answer(refusal(b"429 Slow", fields=b"retry-after: 60\r\n"))) as server, pytest.raises(RateLimited):
        ask(server, retry=Retry(2), timeout=Timeout(total=2))
    assert time.monotonic() - began < 1


@both
def test_a_redirect_is_not_followed(ask: Ask) -> None:
    """
    The request carries a credential: it goes nowhere else.
    """
    with (
        serving(answer(refusal(b"307 Moved", fields=b"location: /elsewhere\r\n"))) as server,
        pytest.raises(MDStreamError, match="redirect"),
    ):
        ask(server)
    assert 1 == len(server.requests)


@both
def test_a_whole_answer_by_the_other_door(ask: Ask) -> None:
    """
    Without streaming the document is read by the same rooms.
    """
    body = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    with serving(answer(refusal(b"200 OK", body, b"content-type: application/json\r\n"))) as server:
        events = ask(server, stream=False)

    assert "Hi" == Reply.of(events).text
    assert b"POST /ocid1.x/predict HTTP" in server.requests[0]


def test_a_break_closes_the_socket_at_once() -> None:
    """
    Leaving the loop and closing the generator ends the connection, not some later moment.
    """

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(HEAD, HI)
        server.note(peer.sees_end(2))

    async def main() -> None:
        async with aclosing(AsyncClient(trust_env=False).stream(call(server))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        assert await asyncio.to_thread(server.noted.wait, 2)

    with serving(script) as server:
        with closing(Client(trust_env=False).stream(call(server))) as events:
            next(events)
        assert server.noted.wait(2)
    assert [True] == server.notes
    with serving(script) as server:
        asyncio.run(main())
    assert [True] == server.notes


def test_a_cancelled_task_closes_the_socket_at_once() -> None:
    """
    Cancelling is breaking out, and is not swallowed.
    """

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(HEAD, HI)
        server.note(peer.sees_end(2))

    async def main() -> None:
        client = AsyncClient(trust_env=False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                async for _ in client.stream(call(server)):
                    pass
        assert await asyncio.to_thread(server.noted.wait, 2)

    with serving(script) as server:
        asyncio.run(main())
    assert [True] == server.notes


@both
def test_many_answers_use_one_connection(ask: Ask) -> None:
    """
    200 streams, one after another, and trailers do not spoil the connection.
    """

    def many() -> None:
        client = Client(trust_env=False)
        for _ in range(200):
            assert "Hi" == client.complete(call(server)).text
        client.close()

    async def amany() -> None:
        client = AsyncClient(trust_env=False)
        for _ in range(200):
            assert "Hi" == (await client.complete(call(server))).text
        await client.aclose()

    with serving(answer(WHOLE.removesuffix(END) + b"0\r\nx-note: 1\r\n\r\n")) as server:
        many() if ask is sync else asyncio.run(amany())
    assert 1 == server.connections


def test_a_client_outlives_its_event_loops() -> None:
    """
    One object in several asyncio.run: a pool for each, and those of the loops that ended are let go.
    """
    client = AsyncClient(trust_env=False)

    async def main() -> str:
        return (await client.complete(call(server))).text

    with serving(answer(WHOLE)) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert ["Hi"] * 3 == [asyncio.run(main()) for _ in range(3)]
        gc.collect()
    assert 1 == len(client._own)
    assert 3 == server.connections


def test_a_client_serves_threads() -> None:
    """
    Many threads share one client and one pool.
    """
    client = Client(trust_env=False)
    with serving(answer(WHOLE)) as server, ThreadPoolExecutor(16) as threads:
        texts = list(threads.map(lambda _: client.complete(call(server)).text, range(64)))
        client.close()

    assert ["Hi"] * 64 == texts


def test_trio_is_served_too() -> None:
    """
    The asynchronous client runs under trio.
    """

    async def main() -> str:
        client = AsyncClient(trust_env=False)
        text = (await client.complete(call(server))).text
        await client.aclose()
        return text

    with serving(answer(WHOLE)) as server:
        assert "Hi" == trio.run(main)


class Turning(Signer):
    """Signs with a number that counts up when it is renewed."""

    def __init__(self, *, aged: bool = False) -> None:
        super().__init__()
        self.key = 1
        self.renewals = 0
        self._aged = aged

    def sign(self, request: Request) -> Request:
        return Request(
            request.method, request.url, {**request.headers, "authorization": f"key {self.key}"}, request.content
        )

    def renewable(self) -> bool:
        return True

    def stale(self) -> bool:
        return self._aged and self.renewals == 0

    def renew(self) -> None:
        time.sleep(0.05)
        self.renewals += 1
        self.key = 2


def guarded(server: RawServer, peer: Peer) -> None:
    """Accepts the second key only."""
    while request := peer.request():
        server.requests.append(request)
        peer.send(WHOLE if b"authorization: key 2" in request.lower() else refusal(b"401 No"))


@both
def test_a_refused_key_is_fetched_again_once(ask: Ask) -> None:
    """
    The question is asked again with the new key, without a retry being allowed.
    """
    signer = Turning()
    with serving(guarded) as server:
        assert "Hi" == Reply.of(ask(server, signer)).text
    assert (1, 2) == (signer.renewals, len(server.requests))


@both
def test_an_aged_key_is_fetched_before_it_is_refused(ask: Ask) -> None:
    """
    A stale key is not tried.
    """
    signer = Turning(aged=True)
    with serving(guarded) as server:
        assert "Hi" == Reply.of(ask(server, signer)).text
    assert (1, 1) == (signer.renewals, len(server.requests))


@both
def test_a_key_that_cannot_be_fetched_is_an_error_of_the_call(ask: Ask) -> None:
    """
    The failure of a refresh is told to the hooks and carries the call's facts, like any other.
    """

    class Broken(Turning):
        def renew(self) -> None:
            raise ConnectionFailed("the token service is away")

    moments: list[Any] = []
    with serving(guarded) as server, pytest.raises(ConnectionFailed, match="token service") as caught:
        ask(server, Broken(), hooks=(moments.append,))
    assert caught.value.request_id
    assert caught.value is moments[-1].error


def test_fifty_tasks_and_one_refused_key_fetch_it_once() -> None:
    """
    Nobody waits for ever, and nobody fetches twice.
    """
    signer = Turning()

    async def main() -> list[str]:
        client = AsyncClient(signer, trust_env=False)
        replies = await asyncio.gather(*(client.complete(call(server)) for _ in range(50)))
        await client.aclose()
        return [reply.text for reply in replies]

    with serving(guarded) as server:
        assert ["Hi"] * 50 == asyncio.run(asyncio.wait_for(main(), 20))
    assert 1 == signer.renewals


def test_fifty_threads_and_one_refused_key_fetch_it_once() -> None:
    """
    The same for threads.
    """
    signer = Turning()
    client = Client(signer, trust_env=False)
    with serving(guarded) as server, ThreadPoolExecutor(50) as threads:
        texts = list(threads.map(lambda _: client.complete(call(server)).text, range(50)))
        client.close()

    assert ["Hi"] * 50 == texts
    assert 1 == signer.renewals


@both
def test_a_wrong_key_is_refused_once_more_and_no_more(ask: Ask) -> None:
    """
    A new key that is refused too is the end.
    """
    with (
        serving(answer(refusal(b"401 No", b'{"code":"NotAuthenticated","message":"no"}'))) as server,
        pytest.raises(AuthenticationError),
    ):
        ask(server, Turning())
    assert 2 == len(server.requests)


class Header(httpx.Auth):
    """An `httpx.Auth` of a user's own."""

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["authorization"] = "key 2"
        yield request


@both
def test_an_auth_of_httpx_is_accepted(ask: Ask) -> None:
    """
    It signs while the request is sent.
    """
    with serving(guarded) as server:
        assert "Hi" == Reply.of(ask(server, Header())).text


CLIENTS = {
    "httpx": (lambda: httpx.Client(trust_env=False), lambda: httpx.AsyncClient(trust_env=False), False),
    "httpx2": (lambda: httpx2.Client(trust_env=False), lambda: httpx2.AsyncClient(trust_env=False), False),
    "ours over httpx": (lambda: http_client(trust_env=False), lambda: async_http_client(trust_env=False), True),
    "ours over httpx2": (
        lambda: http_client(trust_env=False, library="httpx2"),
        lambda: async_http_client(trust_env=False, library="httpx2"),
        True,
    ),
}


@both
@pytest.mark.parametrize(("plain", "tasks", "sees"), CLIENTS.values(), ids=CLIENTS)
def test_a_client_of_the_users_own(ask: Ask, plain: Any, tasks: Any, sees: bool) -> None:
    """
    One of either library works, also with a credential; without our transport one warning says what it cannot see.
    """
    with serving(guarded) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "Hi" == Reply.of(ask(server, Turning(), plain() if ask is sync else tasks())).text

    told = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
    assert [] == told if sees else ["cannot see HTTP trailers" in told[0]] == [True]


@both
@pytest.mark.parametrize(("plain", "tasks", "sees"), CLIENTS.values(), ids=CLIENTS)
def test_errors_of_either_library_become_ours(ask: Ask, plain: Any, tasks: Any, sees: bool) -> None:
    """
    Nothing of httpx or httpx2 gets past the wall.
    """
    with serving(answer(HEAD, HI, close=True)) as server, pytest.raises(StreamInterrupted):
        ask(server, None, plain() if ask is sync else tasks())
    with pytest.raises(ConnectionFailed):
        ask(server, None, plain() if ask is sync else tasks())


def test_the_warning_comes_once_for_each_client() -> None:
    """
    Not with every call, and it points at the line that asked.
    """
    with (
        serving(answer(WHOLE)) as server,
        httpx.Client(trust_env=False) as http,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        client = Client(http=http)
        for _ in range(3):
            assert list(client.stream(call(server)))

    told = [warning for warning in caught if warning.category is RuntimeWarning]
    assert [__file__] == [warning.filename for warning in told]


def test_a_warning_that_is_an_error_hides_no_other() -> None:
    """
    With -W error the events come first, and what went wrong is raised, not the warning.
    """
    with warnings.catch_warnings(), httpx.Client(trust_env=False) as http:
        warnings.simplefilter("error", RuntimeWarning)
        with serving(answer(HEAD, HI, close=True)) as server, pytest.raises(StreamInterrupted):
            list(Client(http=http).stream(call(server)))
        with serving(answer(WHOLE)) as server:
            events: list[Event] = []
            client = Client(http=http)
            with pytest.raises(RuntimeWarning):  # noqa: PT012
                for event in client.stream(call(server)):
                    events.append(event)  # noqa: PERF402
            assert "Hi" == Reply.of(events).text
            assert "Hi" == client.complete(call(server)).text


@both
def test_a_body_that_an_event_hook_has_read_is_read(ask: Ask) -> None:
    """
    A user's hook that logs whole answers does not take them away.
    """

    async def aread(response: httpx.Response) -> None:
        await response.aread()

    hooks: Any = {"response": [httpx.Response.read if ask is sync else aread]}
    http = (
        http_client(trust_env=False, event_hooks=hooks)
        if ask is sync
        else async_http_client(trust_env=False, event_hooks=hooks)
    )
    with serving(answer(WHOLE)) as server:
        assert "Hi" == Reply.of(ask(server, None, http)).text


def test_a_client_that_was_given_stays_open() -> None:
    """
    It is its owner's to close.
    """
    with serving(answer(WHOLE)) as server, http_client(trust_env=False) as http:
        client = Client(http=http)
        client.complete(call(server))
        client.close()
        assert not http.is_closed
        assert "Hi" == client.complete(call(server)).text


def test_a_closed_client_opens_again() -> None:
    """
    Closing lets the connections go and nothing else.
    """
    with serving(answer(WHOLE)) as server:
        client = Client(trust_env=False)
        for _ in range(2):
            assert "Hi" == client.complete(call(server)).text
            client.close()
    assert 2 == server.connections


def test_one_stream_does_not_hold_another() -> None:
    """
    A stream that waits leaves the loop to others.
    """
    gate = threading.Event()

    def script(server: RawServer, peer: Peer) -> None:
        first = server.connections == 1
        peer.request()
        peer.send(HEAD, HI)
        if first:
            gate.wait(5)
        peer.send(STOP + DONE + END)

    async def main() -> None:
        client = AsyncClient(trust_env=False)
        stream: AsyncIterator[Event] = client.stream(call(server))
        await anext(stream)
        assert "Hi" == (await client.complete(call(server))).text
        gate.set()
        assert Finish("stop") in [event async for event in stream]
        await client.aclose()

    with serving(script) as server:
        asyncio.run(main())
