"""`show` and `ashow`: twins that go through a stream and tell a view what comes."""

import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from inspect import isawaitable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast, overload

from mdstream_core.display._plain import Plain
from mdstream_core.display._reading import Reading
from mdstream_core.display._summary import Counting, Summary
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Reply, TextDelta

T = TypeVar("T")


class View(Protocol):
    """Who shows one answer."""

    def begin(self, now: Callable[[], Summary]) -> None:
        """The question is asked; `now()` says how it goes."""
        ...

    def tell(self, event: Event) -> None:
        """A piece has come."""
        ...

    def end(self, summary: Summary) -> None:
        """The answer is whole."""
        ...

    def broke(self, error: Exception, summary: Summary) -> None:
        """It is not."""
        ...

    def stopped(self, summary: Summary) -> None:
        """Nobody waits for the rest."""
        ...


def view() -> View:
    """The view that fits where we are: a notebook, a terminal with rich or without, a pipe."""
    if _in_notebook():
        from mdstream_core.display._notebook import Notebook  # noqa: PLC0415  # IPython is there

        return Notebook()
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return Plain()
    try:
        from mdstream_core.display._rich import Rich  # noqa: PLC0415  # an extra
    except ImportError:
        return Plain()
    return Rich()


@overload
def show(stream: Iterable[Event], *, on: View | None = None) -> Reply: ...
@overload
def show(stream: Iterable[T], *, on: View | None = None) -> T: ...
def show(stream: Iterable[Any], *, on: View | None = None) -> Any:
    """Show a stream while it comes.

    Args:
        stream: Events of `Client.stream`, LangChain's chunks (`chat.stream(…)`, `llm.stream(…)`), or LlamaIndex's
            responses (`llm.stream_chat(…)`, `llm.stream_complete(…)`).
        on: Who shows it; default: what fits here, see `view`.

    Returns:
        The whole answer: a `Reply`, a message of LangChain's, LlamaIndex's last response, or a text.

    Raises:
        MDStreamError: The answer broke. It was shown, and `partial` has what was received.

    Example:
        >>> from mdstream_core import Finish, TextDelta
        >>> show([TextDelta("Par"), TextDelta("is."), Finish("stop")]).text
        Paris.
        'Paris.'
    """
    with _Watching(on or view()) as watching:
        items = iter(stream)
        try:
            for item in items:
                watching.see(item)
        finally:
            if hasattr(items, "close"):
                items.close()
    return watching.whole()


@overload
async def ashow(stream: "AsyncIterable[Event]", *, on: View | None = None) -> Reply: ...
@overload
async def ashow(stream: "AsyncIterable[T] | Awaitable[AsyncIterable[T]]", *, on: View | None = None) -> T: ...
async def ashow(stream: Any, *, on: View | None = None) -> Any:
    """The same for asynchronous streams; a coroutine that returns one, as LlamaIndex's `astream_chat`, is awaited."""
    with _Watching(on or view()) as watching:
        items = aiter(cast("AsyncIterable[Any]", await stream if isawaitable(stream) else stream))
        try:
            async for item in items:
                watching.see(item)
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()
    return watching.whole()


class _Watching:
    """One stream while it is shown: its view is told how it ends, whichever way that is."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._counting = Counting()
        self._reading = Reading()

    def see(self, item: Any) -> None:
        for event in self._reading.events(item):
            self._counting.take(event)
            self._view.tell(event)

    def whole(self) -> Any:
        return self._reading.whole()

    def __enter__(self) -> Self:
        self._view.begin(self._counting.summary)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        summary = self._counting.summary()
        if error is None:
            self._view.end(summary)
        elif isinstance(error, Exception):
            partial = error.partial if isinstance(error, MDStreamError) else None
            if partial and (held := partial.text[summary.characters :]):
                self._view.tell(TextDelta(held))  # a decoder had it, and could not tell yet what it was
            self._view.broke(error, summary)
        else:
            self._view.stopped(summary)


def _in_notebook() -> bool:
    """Whether a kernel runs us: IPython in a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
