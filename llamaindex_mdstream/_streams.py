"""Response streams that are returned after their first event, so that error responses are raised by the call itself."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse

from mdstream_core import MDStreamError

if TYPE_CHECKING:
    from llamaindex_mdstream._responses import ResponseBuilder
    from mdstream_core import Event

R = TypeVar("R", ChatResponse, CompletionResponse)
T = TypeVar("T")


class attach_partial_response:  # noqa: N801  # a context manager, named like a function as those of `contextlib`
    """Attach the partial response to an error, as `partial_response`.

    Args:
        builder: Builds the partial response.
    """

    __slots__ = ("_builder",)

    def __init__(self, builder: "ResponseBuilder[Any]") -> None:
        self._builder = builder

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, MDStreamError) and error.partial is not None:
            vars(error)["partial_response"] = self._builder.partial_response(error.partial, error)


def stream_responses(events: "Generator[Event]", builder: "ResponseBuilder[R]") -> Generator[R]:
    """Return the responses of a stream once its first event was received. Errors before it are raised here."""
    return start_generator(_responses(events, builder))


async def astream_responses(events: "AsyncGenerator[Event]", builder: "ResponseBuilder[R]") -> AsyncGenerator[R]:
    """Async variant of `stream_responses`."""
    return await astart_generator(_aresponses(events, builder))


def start_generator(stream: Generator[T | None]) -> Generator[T]:
    """Run a generator to its first `yield`, which must yield `None`. Unless started, closing it skips its `finally`."""
    next(stream)
    return cast(Generator[T], stream)


async def astart_generator(stream: AsyncGenerator[T | None]) -> AsyncGenerator[T]:
    """Async variant of `start_generator`."""
    await anext(stream)
    return cast(AsyncGenerator[T], stream)


def _responses(events: "Generator[Event]", builder: "ResponseBuilder[R]") -> Generator[R | None]:
    with attach_partial_response(builder), closing(events):
        first = builder.add_event(next(events))
        yield None
        if first is not None:
            yield first
        for event in events:
            if (response := builder.add_event(event)) is not None:
                yield response
        yield builder.final_response()


async def _aresponses(events: "AsyncGenerator[Event]", builder: "ResponseBuilder[R]") -> AsyncGenerator[R | None]:
    with attach_partial_response(builder):
        async with aclosing(events):
            first = builder.add_event(await anext(events))
            yield None
            if first is not None:
                yield first
            async for event in events:
                if (response := builder.add_event(event)) is not None:
                    yield response
            yield builder.final_response()
