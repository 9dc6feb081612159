"""Streams that are open when they are handed out: twins line for line."""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, closing, contextmanager
from typing import TypeVar, cast

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from llamaindex_mdstream._answer import Answer
from mdstream_core import Event, MDStreamError

R = TypeVar("R", ChatResponse, CompletionResponse)
T = TypeVar("T")


@contextmanager
def partial_kept(answer: Answer[R]) -> Iterator[None]:
    """Hang what there was of an answer on the error that ended it, as `partial_response`."""
    try:
        yield
    except MDStreamError as error:
        if error.partial is not None:
            vars(error)["partial_response"] = answer.partial(error.partial, error)
        raise


def responses(events: Generator[Event], answer: Answer[R]) -> Generator[R]:
    """The responses of a stream whose first event has come: an error until then is raised here and now."""
    return opened(_responses(events, answer))


async def aresponses(events: AsyncGenerator[Event], answer: Answer[R]) -> AsyncGenerator[R]:
    """The same, awaited."""
    return await aopened(_aresponses(events, answer))


def opened(stream: Generator[T | None]) -> Generator[T]:
    """Run a generator up to its first `yield`, which must say `None`: from then on closing it runs its `finally`."""
    next(stream)
    return cast(Generator[T], stream)


async def aopened(stream: AsyncGenerator[T | None]) -> AsyncGenerator[T]:
    """The same, awaited."""
    await anext(stream)
    return cast(AsyncGenerator[T], stream)


def _responses(events: Generator[Event], answer: Answer[R]) -> Generator[R | None]:
    with partial_kept(answer), closing(events):
        first = answer.take(next(events))
        yield None
        if first is not None:
            yield first
        for event in events:
            if (response := answer.take(event)) is not None:
                yield response
        yield answer.last()


async def _aresponses(events: AsyncGenerator[Event], answer: Answer[R]) -> AsyncGenerator[R | None]:
    with partial_kept(answer):
        async with aclosing(events):
            first = answer.take(await anext(events))
            yield None
            if first is not None:
                yield first
            async for event in events:
                if (response := answer.take(event)) is not None:
                    yield response
            yield answer.last()
