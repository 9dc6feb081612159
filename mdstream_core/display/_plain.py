"""Plain text: for pipes, files, and terminals without rich. The answer goes one way, what is said of it another."""

import sys
from typing import TextIO

from mdstream_core._terminal import Terminal, strip_control_characters
from mdstream_core.display._summary import Summary, describe_failure
from mdstream_core.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta


class PlainTextView:
    """Writes the answer as it comes.

    Args:
        out: Where the answer goes; default: standard output.
        notes: Where time, usage, thoughts and failures go; default: standard error.
    """

    def __init__(self, out: TextIO | None = None, notes: TextIO | None = None) -> None:
        stream = out or sys.stdout
        self._out = Terminal(stream)
        self._notes = Terminal(notes or sys.stderr)
        self._at_line_start = strip_control_characters if stream.isatty() else str
        self._line = ""  # what stands on the line that is not ended yet
        self._thinks = False

    def start(self, now: object) -> None:
        """Nothing is shown of what has not come."""

    def show_event(self, event: Event) -> None:
        """Write a piece."""
        match event:
            case TextDelta(text, 0) | RefusalDelta(text, 0):
                self._rest()
                self._write(text)
            case ReasoningDelta(text, 0):
                self._notes.write(self._notes.style(strip_control_characters(text), "italic"))
                self._thinks = True
            case ToolCallDelta(name=name, arguments=arguments, choice=0):
                if name:
                    self._end_line()
                    self._write(f"→ {name} ")
                self._write(arguments)

    def finish(self, summary: Summary) -> None:
        """The answer is whole."""
        self._end_line()
        self._note("✓", "green", summary.to_text())

    def fail(self, error: Exception, summary: Summary) -> None:
        """It is not."""
        self._end_line()
        plain, details = describe_failure(error)
        self._note("✗", "red", plain)
        for line in details:
            self._notes.write(f"  {strip_control_characters(line)}\n")
        self._notes.write(f"  {summary.to_text()}\n")

    def cancel(self, summary: Summary) -> None:
        """Nobody waits for the rest."""
        self._end_line()
        self._note("■", "bold", f"stopped · {summary.to_text()}")

    def _write(self, text: str) -> None:
        text = self._at_line_start(text)
        self._out.write(text)
        self._line = (self._line + text).rpartition("\n")[2][-1:]

    def _end_line(self) -> None:
        self._rest()
        if self._line:
            self._out.write("\n")
            self._line = ""

    def _rest(self) -> None:
        if self._thinks:
            self._notes.write("\n")
            self._thinks = False

    def _note(self, mark: str, style: str, text: str) -> None:
        self._notes.write(f"{self._notes.style(mark, style)} {text}\n")
