"""View for pipes, files and terminals without rich: output to stdout, notes to stderr."""

import sys
from typing import TextIO

from mdstream_core._terminal import Terminal, strip_control_characters
from mdstream_core.display._summary import Summary, describe_failure
from mdstream_core.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta


class PlainTextView:
    """Writes a stream as plain text.

    Args:
        out: Stream for text and tool calls. Default: standard output.
        notes: Stream for reasoning, numbers and failures. Default: standard error.
    """

    def __init__(self, out: TextIO | None = None, notes: TextIO | None = None) -> None:
        stream = out or sys.stdout
        self._out = Terminal(stream)
        self._notes = Terminal(notes or sys.stderr)
        self._clean = strip_control_characters if stream.isatty() else str
        self._line = ""  # last character of the current line, if any
        self._in_reasoning = False

    def start(self, now: object) -> None:
        """Write nothing yet."""

    def show_event(self, event: Event) -> None:
        """Write an event."""
        match event:
            case TextDelta(text, 0) | RefusalDelta(text, 0):
                self._end_reasoning()
                self._write(text)
            case ReasoningDelta(text, 0):
                self._notes.write(self._notes.style(strip_control_characters(text), "italic"))
                self._in_reasoning = True
            case ToolCallDelta(name=name, arguments=arguments, choice=0):
                if name:
                    self._end_line()
                    self._write(f"→ {name} ")
                self._write(arguments)

    def finish(self, summary: Summary) -> None:
        """Display the numbers of a complete stream."""
        self._end_line()
        self._note("✓", "green", summary.to_text())

    def fail(self, error: Exception, summary: Summary) -> None:
        """Display a failure and its details."""
        self._end_line()
        explanation, details = describe_failure(error)
        self._note("✗", "red", explanation)
        for line in details:
            self._notes.write(f"  {strip_control_characters(line)}\n")
        self._notes.write(f"  {summary.to_text()}\n")

    def cancel(self, summary: Summary) -> None:
        """Display that reading was stopped."""
        self._end_line()
        self._note("■", "bold", f"stopped · {summary.to_text()}")

    def _write(self, text: str) -> None:
        text = self._clean(text)
        self._out.write(text)
        self._line = (self._line + text).rpartition("\n")[2][-1:]

    def _end_line(self) -> None:
        self._end_reasoning()
        if self._line:
            self._out.write("\n")
            self._line = ""

    def _end_reasoning(self) -> None:
        if self._in_reasoning:
            self._notes.write("\n")
            self._in_reasoning = False

    def _note(self, mark: str, style: str, text: str) -> None:
        self._notes.write(f"{self._notes.style(mark, style)} {text}\n")
