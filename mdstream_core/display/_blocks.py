"""Splitter of growing Markdown text: finished blocks are rendered once, only the unfinished one is rendered again."""

import re

#: The line that opens a fenced code block, also as the first line of a list item.
_FENCE = re.compile(r"\s*(?:[-*+]\s+|\d{1,9}[.)]\s+)?(`{3,}(?=[^`]*$)|~{3,})")

_LIST_ITEM = re.compile(r"\s{0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")


class MarkdownBlocks:
    r"""Collects text and returns its blocks when they are finished: paragraphs, lists, tables, fenced code.

    Every line is looked at once, so that the cost is linear in the length of the text.

    >>> blocks = MarkdownBlocks()
    >>> blocks.feed("# Riv"), blocks.feed("ers\n\n- Nile\n\n- Ama")
    ([], ['# Rivers'])
    >>> blocks.feed("zon\n\nDone"), blocks.flush()
    (['- Nile\n\n- Amazon'], 'Done')
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []  # pieces of the line that has not ended
        self._fence = ""  # the opening line of a fenced code block
        self._is_list = self._after_blank = False

    def feed(self, text: str) -> list[str]:
        """Add text. Returns the blocks that it finishes."""
        if "\n" not in text:
            self._line.append(text)
            return []
        *lines, rest = ("".join(self._line) + text).split("\n")
        self._line = [rest]
        return [block for line in lines if (block := self._add_line(line))]

    def flush(self) -> str:
        """Return the unfinished block, and start a new one."""
        self._lines.append("".join(self._line))
        self._line = []
        return self._take_block()

    def rest(self) -> str:
        """Return the unfinished block, without ending it."""
        return "\n".join((*self._lines, "".join(self._line)))

    def tail(self, max_lines: int, max_chars: int) -> str:
        """Return the end of the unfinished block, at most this long. Fenced code starts with its fence."""
        lines = self._lines[-max_lines:]
        if self._fence and self._fence not in lines:
            lines = [self._fence, *lines[1:]]
        return "\n".join(line[-max_chars:] for line in (*lines, "".join(self._line)))

    def _add_line(self, line: str) -> str:
        """Add a complete line. Returns the block that it finishes, or an empty text."""
        if self._fence:
            return self._add_code_line(line)
        if not line.strip():
            self._after_blank = bool(self._lines)
            self._lines += [""] if self._lines else []
            return ""
        fence = _FENCE.match(line)
        starts_block = self._after_blank and not self._is_continuation(line)
        interrupts = fence is not None and not self._is_list and not line[0].isspace()
        block = self._take_block() if starts_block or interrupts else ""
        self._is_list = bool(_LIST_ITEM.match(line)) if not self._lines else self._is_list
        self._fence = line if fence else ""
        self._after_blank = False
        self._lines.append(line)
        return block

    def _add_code_line(self, line: str) -> str:
        self._lines.append(line)
        marker = match[1] if (match := _FENCE.match(self._fence)) else ""
        closing = line.strip()
        if len(closing) < len(marker) or closing.strip(marker[0]):
            return ""
        self._fence = ""
        return "" if self._is_list else self._take_block()

    def _is_continuation(self, line: str) -> bool:
        """Return whether a line after a blank one belongs to the same block: an item of a list, or indented."""
        return line[0].isspace() or (self._is_list and bool(_LIST_ITEM.match(line)))

    def _take_block(self) -> str:
        block = "\n".join(self._lines).rstrip()
        self._lines = []
        self._fence = ""
        self._is_list = self._after_blank = False
        return block if block.strip() else ""
