"""View for notebooks: one output cell that is updated while the stream is received."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from time import monotonic
from typing import Any

from mdstream_core._terminal import strip_control_characters
from mdstream_core.display._blocks import MarkdownBlocks
from mdstream_core.display._box import FAILURE_COLOR, RUNNING_COLOR, SUCCESS_COLOR, to_box, to_div
from mdstream_core.display._summary import Summary, describe_failure
from mdstream_core.events import Event, ResponseAccumulator, TextDelta

#: Minimum time between two updates, in seconds, and how many updates there are while the output doubles in length, at
#: most. Each update sends the complete output to the browser, so the second limit keeps the cost of a stream linear.
_UPDATE_INTERVAL, _UPDATES_PER_DOUBLING = 0.1, 100


class NotebookView:
    """Displays a stream in a notebook. HTML of the model is escaped, never interpreted.

    Args:
        markdown: Whether to render the text as Markdown, if markdown-it-py (a dependency of rich) is installed.
    """

    def __init__(self, *, markdown: bool = True) -> None:
        self._accumulator = ResponseAccumulator()
        self._text = _RenderedText() if markdown and _has_markdown() else None
        self._notes: list[str] = []
        self._drawn = 0.0
        self._size = self._drawn_size = 0
        self._handle: Any = import_module("IPython.display").display({"text/plain": ""}, raw=True, display_id=True)
        self._now: Callable[[], Summary] = lambda: Summary(0.0)

    def start(self, now: Callable[[], Summary]) -> None:
        """Start the display."""
        self._now = now

    def show_event(self, event: Event) -> None:
        """Display an event, within the limits of updates."""
        self._accumulator.add(event)
        self._size += len(getattr(event, "text", "") or getattr(event, "arguments", ""))
        if self._text and isinstance(event, TextDelta) and event.choice == 0:
            self._text.add(event.text)
        grown = self._size - self._drawn_size
        if monotonic() - self._drawn >= _UPDATE_INTERVAL and grown * _UPDATES_PER_DOUBLING >= self._drawn_size:
            self._draw(RUNNING_COLOR, [self._now().to_text()])

    def finish(self, summary: Summary) -> None:
        """Display the numbers of a complete stream."""
        self._draw(SUCCESS_COLOR, [f"✓ {summary.to_text()}"])

    def fail(self, error: Exception, summary: Summary) -> None:
        """Display a failure and its details."""
        explanation, details = describe_failure(error)
        self._draw(FAILURE_COLOR, [f"✗ {explanation}", *details, summary.to_text()])

    def cancel(self, summary: Summary) -> None:
        """Display that reading was stopped."""
        self._draw(FAILURE_COLOR, [f"■ interrupted · {summary.to_text()}"])

    def add_traceback(self, html: str) -> None:
        """Display the traceback, which IPython formats later, at the end of the same output."""
        self._draw(FAILURE_COLOR, self._notes, html)

    def _draw(self, color: str, notes: list[str], folded: str = "") -> None:
        self._notes = notes
        response = self._accumulator.response()
        calls = [f"→ {call.name} {call.arguments}" for call in response.tool_calls]
        text = response.text if self._text is None else ""
        parts = [
            to_div(response.reasoning, "font-style:italic"),
            f"<div>{self._text.to_html()}</div>" if self._text else "",
            to_div(text + response.refusal),
            *(to_div(call, "font-family:monospace") for call in calls),
            *(to_div(note, "font-size:.9em") for note in notes),
        ]
        plain = [response.reasoning, response.text + response.refusal, *calls, *notes]
        bundle = {
            "text/html": to_box(color, "".join(parts) + folded),
            "text/plain": "\n".join(strip_control_characters(part) for part in plain if part),
        }
        self._handle.update(bundle, raw=True)
        self._drawn, self._drawn_size = monotonic(), self._size


class _RenderedText:
    """Markdown text as HTML. Each finished block is rendered once."""

    def __init__(self) -> None:
        self._to_html: Callable[[str], str] = import_module("mdstream_core.display._markdown").markdown_to_html
        self._blocks = MarkdownBlocks()
        self._finished: list[str] = []

    def add(self, text: str) -> None:
        """Add text."""
        self._finished += map(self._to_block, self._blocks.feed(text))

    def to_html(self) -> str:
        """Return the HTML of all text so far."""
        return "".join(self._finished) + self._to_block(self._blocks.rest())

    def _to_block(self, text: str) -> str:
        return f'<div style="margin-bottom:.7em">{self._to_html(text)}</div>'


def _has_markdown() -> bool:
    return find_spec("markdown_it") is not None
