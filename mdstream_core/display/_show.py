"""`show` and `ashow`: read a stream and display it in a view."""

import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from inspect import isawaitable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, cast, overload

from mdstream_core.display._plain import PlainTextView
from mdstream_core.display._stream_reader import StreamReader
from mdstream_core.display._summary import StreamStatistics, Summary
from mdstream_core.display._traceback import attach_traceback
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, TextDelta

T = TypeVar("T")


class View(Protocol):
    """Displays one stream. `finish`, `fail` or `cancel` is called exactly once, at its end."""

    def start(self, now: Callable[[], Summary]) -> None:
        """Start the display. `now()` returns the current numbers."""
        ...

    def show_event(self, event: Event) -> None:
        """Display an event."""
        ...

    def finish(self, summary: Summary) -> None:
        """Display the end of a complete stream."""
        ...

    def fail(self, error: Exception, summary: Summary) -> None:
        """Display a failure."""
        ...

    def cancel(self, summary: Summary) -> None:
        """Display that reading was stopped, by Ctrl-C or a cancelled task."""
        ...


def create_view(*, markdown: bool = True) -> View:
    """Create the view for the current output: a notebook, a terminal with or without rich, or a pipe.

    Args:
        markdown: Whether notebooks, and terminals with rich, render the text as Markdown. Pipes get it unchanged.
    """
    if _in_notebook():
        from mdstream_core.display._notebook import NotebookView  # noqa: PLC0415  # needs IPython

        return NotebookView(markdown=markdown)
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return PlainTextView()
    try:
        from mdstream_core.display._rich import RichView  # noqa: PLC0415  # needs rich
    except ImportError:
        return PlainTextView()
    return RichView(markdown=markdown)


@overload
def show(stream: Iterable[Event], *, markdown: bool = True, view: View | None = None) -> ModelResponse: ...
@overload
def show(stream: Iterable[T], *, markdown: bool = True, view: View | None = None) -> T: ...
def show(stream: Iterable[Any], *, markdown: bool = True, view: View | None = None) -> Any:
    """Display a stream while it is received, and return the complete response.

    Args:
        stream: Events of `Client.stream`, chunks of LangChain (`chat.stream(…)`, `llm.stream(…)`), or responses of
            LlamaIndex (`llm.stream_chat(…)`, `llm.stream_complete(…)`).
        markdown: Whether a notebook or a terminal renders the text as Markdown. A pipe gets it unchanged.
        view: Displays the stream. Default: the view of `create_view()`, for a notebook, terminal or pipe.

    Returns:
        The complete response: a `ModelResponse`, LangChain's message or text, or LlamaIndex's last response.

    Raises:
        MDStreamError: The stream failed. The failure was displayed; `error.partial` holds what was received.
        TypeError: The stream yields objects of another kind.

    Example:
        >>> from mdstream_core import Finish, TextDelta
        >>> show([TextDelta("Par"), TextDelta("is."), Finish("stop")]).text
        Paris.
        'Paris.'
    """
    with _ViewSession(view or create_view(markdown=markdown)) as session:
        items = iter(stream)
        try:
            for item in items:
                session.show(item)
        finally:
            if hasattr(items, "close"):
                items.close()
    return session.result()


@overload
async def ashow(
    stream: "AsyncIterable[Event]", *, markdown: bool = True, view: View | None = None
) -> ModelResponse: ...
@overload
async def ashow(
    stream: "AsyncIterable[T] | Awaitable[AsyncIterable[T]]", *, markdown: bool = True, view: View | None = None
) -> T: ...
async def ashow(stream: Any, *, markdown: bool = True, view: View | None = None) -> Any:
    """Async variant of `show`.

    Args:
        stream: As for `show`, as an async iterable or as a coroutine that returns one, such as LlamaIndex's
            `llm.astream_chat(…)`.
        markdown: As for `show`.
        view: As for `show`.
    """
    with _ViewSession(view or create_view(markdown=markdown)) as session:
        items = aiter(cast("AsyncIterable[Any]", await stream if isawaitable(stream) else stream))
        try:
            async for item in items:
                session.show(item)
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()
    return session.result()


class _ViewSession:
    """Passes the events of one stream to a view, and reports how the stream ended."""

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
            if partial and (buffered := partial.text[summary.characters :]):
                self._view.show_event(TextDelta(buffered))  # text that a decoder was still buffering
            self._view.fail(error, summary)
        else:
            self._view.cancel(summary)
        if error is not None:
            attach_traceback(error, getattr(self._view, "add_traceback", None))


def _in_notebook() -> bool:
    """Return whether this code runs in a notebook kernel. IPython in a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
