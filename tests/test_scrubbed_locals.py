"""What removing credentials from errors leaves unchanged: suspended coroutines, and errors that callers handle."""

import asyncio
import time
from collections.abc import Generator

import pytest

from mdstream_core import OCIModelDeployment, OpenAIChat, Retry, Service
from mdstream_core.auth import Signer
from mdstream_core.call import Call
from mdstream_core.errors import ConnectionFailed
from mdstream_core.http import Request, remove_credentials


class FailingSigner(Signer):
    """Signer whose key cannot be read: one exception for all waiting tasks."""

    def needs_refresh(self) -> bool:
        return True

    def fetch_credential(self) -> None:
        time.sleep(0.1)  # until the others wait too
        raise OSError("the disk is gone")

    def sign(self, request: Request) -> Request:
        return request


def service(auth: Signer | None = None) -> Service:
    return Service(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), auth=auth, retry=Retry(0))


def call(target: Service) -> Call:
    return target.call(OpenAIChat(), {"messages": [{"role": "user", "content": "Hello"}]}, stream=False)


async def test_tasks_continue_after_a_shared_error() -> None:
    """Each task handles the error and waits; redacting it in the others does not end the task."""
    target = service(FailingSigner())

    async def send_request(number: int) -> int:
        try:
            await target.async_client.complete(call(target))
        except OSError:
            await asyncio.sleep(0.05)
        return number

    assert [0, 1, 2, 3] == await asyncio.wait_for(asyncio.gather(*(send_request(number) for number in range(4))), 20)


def test_a_suspended_generator_continues() -> None:
    """An error that was caught in a generator is raised again elsewhere."""
    shared = KeyError("shared")

    def fallback() -> Generator[str]:
        try:
            raise shared
        except KeyError:
            yield "first"
            yield "second"

    responses = fallback()
    assert next(responses) == "first"
    remove_credentials(shared)

    assert list(responses) == ["second"]


def fail() -> None:
    precious = "for a debugger"
    raise KeyError(precious)


def test_an_error_that_is_being_handled_keeps_its_locals() -> None:
    """A caller sends a request while it handles an error of its own."""
    target = service()
    try:
        fail()
    except KeyError as error:
        with pytest.raises(ConnectionFailed):
            target.client.complete(call(target))
        at = error.__traceback__
    assert at is not None
    assert at.tb_next is not None
    assert "for a debugger" == at.tb_next.tb_frame.f_locals["precious"]


async def test_an_error_that_a_task_handles_keeps_its_locals() -> None:
    """The same in a task."""
    target = service()
    try:
        fail()
    except KeyError as error:
        with pytest.raises(ConnectionFailed):
            await target.async_client.complete(call(target))
        at = error.__traceback__
    assert at is not None
    assert at.tb_next is not None
    assert "for a debugger" == at.tb_next.tb_frame.f_locals["precious"]


def open_key(key: str) -> None:
    raise OSError(len(key))


def test_locals_of_functions_that_failed_are_cleared() -> None:
    """Of the functions called, and of the causes of the error."""

    def sign() -> None:
        key = "s3cret"
        try:
            open_key(key)
        except OSError:
            raise ValueError("no key")  # noqa: B904  # its context

    try:
        sign()
    except ValueError as error:
        remove_credentials(error)
        for one in (error, error.__context__):
            at = one.__traceback__ if one else None
            while at is not None:
                assert "key" not in at.tb_frame.f_locals
                at = at.tb_next
