"""View for terminals with rich: finished blocks scroll, the unfinished one and the status line are redrawn below.

Finished blocks of Markdown, or complete lines without it, are written once, so that responses may be longer than the
screen and can be scrolled. Of an unfinished block the end is displayed, as far as the screen has room.
"""

from collections.abc import Callable
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from mdstream_core._terminal import strip_control_characters
from mdstream_core.display._blocks import MarkdownBlocks
from mdstream_core.display._rich_markdown import render_markdown
from mdstream_core.display._summary import Summary, describe_failure
from mdstream_core.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

#: Redraws of the current line per second.
_REFRESH_PER_SECOND = 12

#: Styles that are readable on light and dark terminals: no grey, no background.
_REASONING_STYLE, _TOOL_CALL_STYLE = "italic", "bold"


class RichView:
    """Displays a stream in a terminal.

    Args:
        console: A `rich.console.Console`. Default: one on standard output.
        markdown: Whether to render the text as Markdown.
    """

    def __init__(self, console: Console | None = None, *, markdown: bool = True) -> None:
        self._console = console or Console(highlight=False)
        self._blocks = MarkdownBlocks() if markdown else None
        self._has_block = False
        self._rendered: tuple[tuple[str, int], list[Text]] = (("", 0), [])
        self._line = ""
        self._style = ""
        self._now: Callable[[], Summary] = lambda: Summary(0.0)
        spinner = "line" if self._console.options.ascii_only else "dots"
        self._spinner = Spinner(spinner)
        self._live: Live | None = None

    def start(self, now: Callable[[], Summary]) -> None:
        """Start the status line."""
        self._now = now
        self._live = Live(
            get_renderable=self._status_line,
            console=self._console,
            refresh_per_second=_REFRESH_PER_SECOND,
            transient=True,
        )
        self._live.start()

    def show_event(self, event: Event) -> None:
        """Display an event."""
        match event:
            case TextDelta(text, 0) | RefusalDelta(text, 0):
                self._switch_style("")
                self._append_text(text)
            case ReasoningDelta(text, 0):
                self._switch_style(_REASONING_STYLE)
                self._append(text)
            case ToolCallDelta(name=name, arguments=arguments, choice=0):
                if name:
                    self._flush()
                    self._switch_style(_TOOL_CALL_STYLE)
                    self._append(f"→ {name} ")
                self._append(arguments)

    def finish(self, summary: Summary) -> None:
        """Display the numbers of a complete stream."""
        self._finish()
        self._print(Text.assemble(("✓ ", "bold green"), summary.to_text()))

    def fail(self, error: Exception, summary: Summary) -> None:
        """Display a failure and its details."""
        self._finish()
        explanation, details = describe_failure(error)
        self._print(Text.assemble(("✗ ", "bold red"), (explanation, "bold")))
        for line in (*details, summary.to_text()):
            self._print(Text(strip_control_characters(line)), indent=2)

    def cancel(self, summary: Summary) -> None:
        """Display that reading was stopped."""
        self._finish()
        self._print(Text.assemble(("■ ", "bold"), "stopped · ", summary.to_text()))

    def _switch_style(self, style: str) -> None:
        """Start a new line if the style changes."""
        if style != self._style:
            self._flush()
            self._style = style

    def _append_text(self, text: str) -> None:
        if self._blocks is None:
            self._append(text)
            return
        for block in self._blocks.feed(strip_control_characters(text)):
            self._print_block(block)

    def _append(self, text: str) -> None:
        *lines, self._line = (self._line + strip_control_characters(text).expandtabs(4)).split("\n")
        for line in lines:
            self._print(Text(line, self._style))
        while cell_len(self._line) > self._console.width:
            full, self._line = _split_line(self._line, self._console.width)
            self._print(Text(full, self._style))

    def _flush(self) -> None:
        if self._blocks and (block := self._blocks.flush()):
            self._print_block(block)
        self._has_block = False
        if self._line:
            self._print(Text(self._line, self._style))
            self._line = ""

    def _finish(self) -> None:
        self._flush()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _status_line(self) -> Any:
        numbers = Text(self._now().to_text())
        numbers.truncate(self._console.width - 3, overflow="ellipsis")  # more than one row would make the display jump
        self._spinner.update(text=numbers)
        if self._line:
            return Group(Text(self._line, self._style), self._spinner)
        return Group(*self._unfinished_block(), self._spinner)

    def _unfinished_block(self) -> list[Text]:
        """Return the last lines of the unfinished block. What is above cannot be erased, once it scrolled away."""
        if self._blocks is None:
            return []
        height, width = max(self._console.height - 3, 1), self._console.width
        key = (self._blocks.tail(height, height * width), width)
        if key != self._rendered[0]:
            lines = render_markdown(key[0], self._console)
            self._rendered = key, [Text(), *lines] if self._has_block and lines else lines
        return self._rendered[1][-height:]

    def _print_block(self, block: str) -> None:
        if lines := render_markdown(block, self._console):
            separated = [Text(), *lines] if self._has_block else lines
            self._console.print(Text("\n").join(separated), soft_wrap=True)
            self._has_block = True

    def _print(self, text: Text, indent: int = 0) -> None:
        width = max(self._console.width - indent, 8)
        for line in text.wrap(self._console, width) or [Text()]:
            self._console.print(Text(" " * indent).append(line), soft_wrap=True)


def _split_line(line: str, width: int) -> tuple[str, str]:
    """Split a line into the part that fits a row, ending at its last space if there is one, and the rest."""
    row = chop_cells(line, width)[0]
    end = len(row) if line[len(row) :].startswith(" ") else row.rfind(" ")
    end = end if row[: max(end, 0)].strip() else len(row)
    return line[:end], line[end:].removeprefix(" ")
