"""`show` and `ashow`: twins that go through a stream and tell a view what comes."""

import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from inspect import isawaitable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast, overload

from mdstream_core.display._plain import PlainTextView
from mdstream_core.display._stream_reader import StreamReader
from mdstream_core.display._summary import StreamStatistics, Summary
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, TextDelta

T = TypeVar("T")


class View(Protocol):
    """Who shows one answer."""

    def start(self, now: Callable[[], Summary]) -> None:
        """The question is asked; `now()` says how it goes."""
        ...

    def show_event(self, event: Event) -> None:
        """A piece has come."""
        ...

    def finish(self, summary: Summary) -> None:
        """The answer is whole."""
        ...

    def fail(self, error: Exception, summary: Summary) -> None:
        """It is not."""
        ...

    def cancel(self, summary: Summary) -> None:
        """Nobody waits for the rest."""
        ...


def create_view() -> View:
    """The view that fits where we are: a notebook, a terminal with rich or without, a pipe."""
    if _in_notebook():
        from mdstream_core.display._notebook import NotebookView  # noqa: PLC0415  # IPython is there

        return NotebookView()
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return PlainTextView()
    try:
        from mdstream_core.display._rich import RichView  # noqa: PLC0415  # an extra
    except ImportError:
        return PlainTextView()
    return RichView()


@overload
def show(stream: Iterable[Event], *, view: View | None = None) -> ModelResponse: ...
@overload
def show(stream: Iterable[T], *, view: View | None = None) -> T: ...
def show(stream: Iterable[Any], *, view: View | None = None) -> Any:
    """Show a stream while it comes.

    Args:
        stream: Events of `Client.stream`, LangChain's chunks (`chat.stream(…)`, `llm.stream(…)`), or LlamaIndex's
            responses (`llm.stream_chat(…)`, `llm.stream_complete(…)`).
        view: Who shows it; default: what fits here, see `create_view`.

    Returns:
        The whole answer: a `ModelResponse`, a message of LangChain's, LlamaIndex's last response, or a text.

    Raises:
        MDStreamError: The answer broke. It was shown, and `partial` has what was received.

    Example:
        >>> from mdstream_core import Finish, TextDelta
        >>> show([TextDelta("Par"), TextDelta("is."), Finish("stop")]).text
        Paris.
        'Paris.'
    """
    with _ViewSession(view or create_view()) as watching:
        items = iter(stream)
        try:
            for item in items:
                watching.show(item)
        finally:
            if hasattr(items, "close"):
                items.close()
    return watching.result()


@overload
async def ashow(stream: "AsyncIterable[Event]", *, view: View | None = None) -> ModelResponse: ...
@overload
async def ashow(stream: "AsyncIterable[T] | Awaitable[AsyncIterable[T]]", *, view: View | None = None) -> T: ...
async def ashow(stream: Any, *, view: View | None = None) -> Any:
    """The same for asynchronous streams; a coroutine that returns one, as LlamaIndex's `astream_chat`, is awaited."""
    with _ViewSession(view or create_view()) as watching:
        items = aiter(cast("AsyncIterable[Any]", await stream if isawaitable(stream) else stream))
        try:
            async for item in items:
                watching.show(item)
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()
    return watching.result()


class _ViewSession:
    """One stream while it is shown: its view is told how it ends, whichever way that is."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._statistics = StreamStatistics()
        self._reader = StreamReader()

    def show(self, item: Any) -> None:
        for event in self._reader.parse_item(item):
            self._statistics.add(event)
            self._view.show_event(event)

    def result(self) -> Any:
        return self._reader.result()

    def __enter__(self) -> Self:
        self._view.start(self._statistics.summary)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        summary = self._statistics.summary()
        if error is None:
            self._view.finish(summary)
        elif isinstance(error, Exception):
            partial = error.partial if isinstance(error, MDStreamError) else None
            if partial and (held := partial.text[summary.characters :]):
                self._view.show_event(TextDelta(held))  # a decoder had it, and could not tell yet what it was
            self._view.fail(error, summary)
        else:
            self._view.cancel(summary)


def _in_notebook() -> bool:
    """Whether a kernel runs us: IPython in a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
