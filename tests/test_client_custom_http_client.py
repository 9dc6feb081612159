"""A user's own HTTP client, of httpx or httpx2."""

import warnings
from typing import Any

import httpx
import httpx2
import pytest
from _client_requests import HEAD, HI, WHOLE, CountingSigner, Send, both, call, error_response, require_second_key, sync
from _raw_server import respond_with, serving

from mdstream_core import AsyncClient, Client
from mdstream_core.errors import (
    ConnectionFailed,
    InvalidRequest,
    StreamInterrupted,
)
from mdstream_core.events import Event, ModelResponse
from mdstream_core.transport import async_http_client, http_client

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
def test_a_custom_http_client(send_request: Send, plain: Any, tasks: Any, sees: bool) -> None:
    """Also with credentials; without mdstream's transport one warning reports that trailers are invisible."""
    with serving(require_second_key) as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert (
            "Hi"
            == ModelResponse.from_events(
                send_request(server, CountingSigner(), plain() if send_request is sync else tasks())
            ).text
        )

    messages = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
    assert [] == messages if sees else ["cannot see HTTP trailers" in messages[0]] == [True]


@both
@pytest.mark.parametrize(("plain", "tasks", "sees"), CLIENTS.values(), ids=CLIENTS)
def test_exceptions_of_both_libraries_are_mapped(send_request: Send, plain: Any, tasks: Any, sees: bool) -> None:
    """No exception of httpx or httpx2 reaches the user."""
    with serving(respond_with(HEAD, HI, close=True)) as server, pytest.raises(StreamInterrupted):
        send_request(server, None, plain() if send_request is sync else tasks())
    with pytest.raises(ConnectionFailed):
        send_request(server, None, plain() if send_request is sync else tasks())


def test_the_warning_comes_once_for_each_client() -> None:
    """Not for every call, and it points at the user's line."""
    with (
        serving(respond_with(WHOLE)) as server,
        httpx.Client(trust_env=False) as http,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        client = Client(http=http)
        for _ in range(3):
            assert list(client.stream(call(server)))

    caught_warnings = [warning for warning in caught if warning.category is RuntimeWarning]
    assert [__file__] == [warning.filename for warning in caught_warnings]


def test_a_warning_that_is_an_error_hides_no_other() -> None:
    """With `-W error` the events come first, and a failure is raised instead of the warning."""
    with warnings.catch_warnings(), httpx.Client(trust_env=False) as http:
        warnings.simplefilter("error", RuntimeWarning)
        with serving(respond_with(HEAD, HI, close=True)) as server, pytest.raises(StreamInterrupted):
            list(Client(http=http).stream(call(server)))
        with serving(respond_with(WHOLE)) as server:
            events: list[Event] = []
            client = Client(http=http)
            with pytest.raises(RuntimeWarning):
                for event in client.stream(call(server)):
                    events.append(event)  # noqa: PERF402
            assert "Hi" == ModelResponse.from_events(events).text
            assert "Hi" == client.complete(call(server)).text


@both
def test_a_body_that_an_event_hook_has_read_is_read(send_request: Send) -> None:
    """An event hook may log complete responses."""

    async def aread(response: httpx.Response) -> None:
        await response.aread()

    hooks: Any = {"response": [httpx.Response.read if send_request is sync else aread]}
    http = (
        http_client(trust_env=False, event_hooks=hooks)
        if send_request is sync
        else async_http_client(trust_env=False, event_hooks=hooks)
    )
    with serving(respond_with(WHOLE)) as server:
        assert "Hi" == ModelResponse.from_events(send_request(server, None, http)).text


@both
def test_an_event_hook_that_calls_raise_for_status(send_request: Send) -> None:
    """It hides the body, but not the error class: a 401 still refreshes the key."""

    async def araise(response: httpx.Response) -> None:
        response.raise_for_status()

    hooks: Any = {"response": [httpx.Response.raise_for_status if send_request is sync else araise]}

    def http() -> Any:
        build = http_client if send_request is sync else async_http_client
        return build(trust_env=False, event_hooks=hooks)

    with (
        serving(respond_with(error_response(b"400 No"))) as server,
        pytest.raises(InvalidRequest, match=r"400: No, raised by"),
    ):
        send_request(server, None, http())
    with serving(require_second_key) as server:
        assert "Hi" == ModelResponse.from_events(send_request(server, CountingSigner(), http())).text


def test_a_custom_http_client_stays_open() -> None:
    """Its owner closes it."""
    with serving(respond_with(WHOLE)) as server, http_client(trust_env=False) as http:
        client = Client(http=http)
        client.complete(call(server))
        client.close()
        assert not http.is_closed
        assert "Hi" == client.complete(call(server)).text


def test_a_closed_client_reconnects() -> None:
    """Closing only closes the connections."""
    with serving(respond_with(WHOLE)) as server:
        client = Client(trust_env=False)
        for _ in range(2):
            assert "Hi" == client.complete(call(server)).text
            client.close()
    assert 2 == server.connections


def test_a_client_of_the_wrong_kind_is_rejected() -> None:
    """The message names the right argument."""
    for library in (httpx, httpx2):
        with pytest.raises(ValueError, match="as http_async_client"):
            Client(None, library.AsyncClient())
        with library.Client() as http, pytest.raises(ValueError, match="as http_client"):
            AsyncClient(None, http)
