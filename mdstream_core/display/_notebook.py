"""A notebook: one output cell that is updated while the answer comes."""

from collections.abc import Callable
from html import escape
from importlib import import_module
from time import monotonic
from typing import Any

from mdstream_core._terminal import harmless
from mdstream_core.display._summary import Summary, failure
from mdstream_core.events import Event, Sum

#: Seconds between two updates: each sends the whole answer to the browser.
_PAUSE = 0.1

#: Text has the notebook's own colours; only the bar at the side has one, which light and dark pages show alike.
_RUNNING, _WELL, _BROKEN = "#1e88e5", "#43a047", "#e53935"


class Notebook:
    """Shows an answer in a notebook. What a model says is text there, never markup."""

    def __init__(self) -> None:
        self._sum = Sum()
        self._drawn = 0.0
        self._handle: Any = import_module("IPython.display").display({"text/plain": ""}, raw=True, display_id=True)
        self._now: Callable[[], Summary] = lambda: Summary(0.0)

    def begin(self, now: Callable[[], Summary]) -> None:
        """The clock starts."""
        self._now = now

    def tell(self, event: Event) -> None:
        """Show a piece, or wait with it for the next ones."""
        self._sum.add(event)
        if monotonic() - self._drawn >= _PAUSE:
            self._draw(_RUNNING, [self._now().words()])

    def end(self, summary: Summary) -> None:
        """The answer is whole."""
        self._draw(_WELL, [f"✓ {summary.words()}"])

    def broke(self, error: Exception, summary: Summary) -> None:
        """It is not."""
        plain, details = failure(error)
        self._draw(_BROKEN, [f"✗ {plain}", *details, summary.words()])

    def stopped(self, summary: Summary) -> None:
        """Nobody waits for the rest."""
        self._draw(_BROKEN, [f"■ stopped · {summary.words()}"])

    def _draw(self, colour: str, notes: list[str]) -> None:
        reply = self._sum.reply()
        calls = [f"→ {call.name} {call.arguments}" for call in reply.tool_calls]
        parts = [(reply.reasoning, "font-style:italic"), (reply.text + reply.refusal, "")]
        parts += [(call, "font-family:monospace") for call in calls]
        parts += [(note, "font-size:.9em") for note in notes]
        parts = [(harmless(text), style) for text, style in parts]
        shown = [
            f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;{style}">{escape(text)}</div>'
            for text, style in parts
            if text
        ]
        bundle = {
            "text/html": f'<div style="border-left:3px solid {colour};padding-left:.8em">{"".join(shown)}</div>',
            "text/plain": "\n".join(text for text, _ in parts if text),
        }
        self._handle.update(bundle, raw=True)
        self._drawn = monotonic()
