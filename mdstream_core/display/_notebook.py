"""View for notebooks: one output cell that is updated while the stream is received."""

from collections.abc import Callable
from html import escape
from importlib import import_module
from time import monotonic
from typing import Any

from mdstream_core._terminal import strip_control_characters
from mdstream_core.display._summary import Summary, describe_failure
from mdstream_core.events import Event, ResponseAccumulator

#: Minimum time between two updates, in seconds. Each update sends the complete text to the browser.
_UPDATE_INTERVAL = 0.1

#: Colors of the bar at the side, readable in light and dark themes. Text keeps the notebook's colors.
_RUNNING_COLOR, _SUCCESS_COLOR, _FAILURE_COLOR = "#1e88e5", "#43a047", "#e53935"


class NotebookView:
    """Displays a stream in a notebook. Output of the model is escaped, never interpreted as markup."""

    def __init__(self) -> None:
        self._accumulator = ResponseAccumulator()
        self._drawn = 0.0
        self._handle: Any = import_module("IPython.display").display({"text/plain": ""}, raw=True, display_id=True)
        self._now: Callable[[], Summary] = lambda: Summary(0.0)

    def start(self, now: Callable[[], Summary]) -> None:
        """Start the display."""
        self._now = now

    def show_event(self, event: Event) -> None:
        """Display an event, at most once per update interval."""
        self._accumulator.add(event)
        if monotonic() - self._drawn >= _UPDATE_INTERVAL:
            self._draw(_RUNNING_COLOR, [self._now().to_text()])

    def finish(self, summary: Summary) -> None:
        """Display the numbers of a complete stream."""
        self._draw(_SUCCESS_COLOR, [f"✓ {summary.to_text()}"])

    def fail(self, error: Exception, summary: Summary) -> None:
        """Display a failure and its details."""
        explanation, details = describe_failure(error)
        self._draw(_FAILURE_COLOR, [f"✗ {explanation}", *details, summary.to_text()])

    def cancel(self, summary: Summary) -> None:
        """Display that reading was stopped."""
        self._draw(_FAILURE_COLOR, [f"■ stopped · {summary.to_text()}"])

    def _draw(self, color: str, notes: list[str]) -> None:
        response = self._accumulator.response()
        calls = [f"→ {call.name} {call.arguments}" for call in response.tool_calls]
        parts = [(response.reasoning, "font-style:italic"), (response.text + response.refusal, "")]
        parts += [(call, "font-family:monospace") for call in calls]
        parts += [(note, "font-size:.9em") for note in notes]
        parts = [(strip_control_characters(text), style) for text, style in parts]
        divs = [
            f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;{style}">{escape(text)}</div>'
            for text, style in parts
            if text
        ]
        bundle = {
            "text/html": f'<div style="border-left:3px solid {color};padding-left:.8em">{"".join(divs)}</div>',
            "text/plain": "\n".join(text for text, _ in parts if text),
        }
        self._handle.update(bundle, raw=True)
        self._drawn = monotonic()
