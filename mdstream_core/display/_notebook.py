"""A notebook: one output cell that is updated while the answer comes."""

from collections.abc import Callable
from html import escape
from importlib import import_module
from time import monotonic
from typing import Any

from mdstream_core._terminal import strip_control_characters
from mdstream_core.display._summary import Summary, describe_failure
from mdstream_core.events import Event, ResponseAccumulator

#: Seconds between two updates: each sends the whole answer to the browser.
_UPDATE_INTERVAL = 0.1

#: Text has the notebook's own colours; only the bar at the side has one, which light and dark pages show alike.
_RUNNING_COLOR, _SUCCESS_COLOR, _FAILURE_COLOR = "#1e88e5", "#43a047", "#e53935"


class NotebookView:
    """Shows an answer in a notebook. What a model says is text there, never markup."""

    def __init__(self) -> None:
        self._accumulator = ResponseAccumulator()
        self._drawn = 0.0
        self._handle: Any = import_module("IPython.display").display({"text/plain": ""}, raw=True, display_id=True)
        self._now: Callable[[], Summary] = lambda: Summary(0.0)

    def start(self, now: Callable[[], Summary]) -> None:
        """The clock starts."""
        self._now = now

    def show_event(self, event: Event) -> None:
        """Show a piece, or wait with it for the next ones."""
        self._accumulator.add(event)
        if monotonic() - self._drawn >= _UPDATE_INTERVAL:
            self._draw(_RUNNING_COLOR, [self._now().to_text()])

    def finish(self, summary: Summary) -> None:
        """The answer is whole."""
        self._draw(_SUCCESS_COLOR, [f"✓ {summary.to_text()}"])

    def fail(self, error: Exception, summary: Summary) -> None:
        """It is not."""
        plain, details = describe_failure(error)
        self._draw(_FAILURE_COLOR, [f"✗ {plain}", *details, summary.to_text()])

    def cancel(self, summary: Summary) -> None:
        """Nobody waits for the rest."""
        self._draw(_FAILURE_COLOR, [f"■ stopped · {summary.to_text()}"])

    def _draw(self, color: str, notes: list[str]) -> None:
        response = self._accumulator.response()
        calls = [f"→ {call.name} {call.arguments}" for call in response.tool_calls]
        parts = [(response.reasoning, "font-style:italic"), (response.text + response.refusal, "")]
        parts += [(call, "font-family:monospace") for call in calls]
        parts += [(note, "font-size:.9em") for note in notes]
        parts = [(strip_control_characters(text), style) for text, style in parts]
        shown = [
            f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;{style}">{escape(text)}</div>'
            for text, style in parts
            if text
        ]
        bundle = {
            "text/html": f'<div style="border-left:3px solid {color};padding-left:.8em">{"".join(shown)}</div>',
            "text/plain": "\n".join(text for text, _ in parts if text),
        }
        self._handle.update(bundle, raw=True)
        self._drawn = monotonic()
