"""Terminal output of the command line: plain lines, with colors on a terminal only."""

import json
import os
import re
import sys
from typing import TextIO

#: SGR codes. Neither dim nor yellow, which are hard to read on a light background.
_STYLES = {"bold": "1", "italic": "3", "red": "31", "green": "32", "magenta": "35"}


class Terminal:
    """Write lines to a stream, in color if it is a terminal.

    The environment variable `NO_COLOR` disables colors everywhere (https://no-color.org), `FORCE_COLOR` enables them.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        enabled = "FORCE_COLOR" in os.environ or (self._stream.isatty() and os.environ.get("TERM") != "dumb")
        self._has_color = enabled and not os.environ.get("NO_COLOR")

    def heading(self, text: str) -> None:
        """Write an underlined title."""
        text = strip_control_characters(text)
        self.write(f"\n{self.style(text, 'bold')}\n{'─' * len(text)}\n")

    def label(self, text: str) -> None:
        """Write a label; its value follows on the same line."""
        self.write(f"{text:<14} ")

    def line(self, label: str, text: str, style: str = "") -> None:
        """Write a label and its value."""
        self.label(label)
        self.write(f"{self.style(strip_control_characters(text), style)}\n")

    def write_token(self, text: str) -> None:
        """Write a piece of the output and flush."""
        self.write(text)

    def finish(self) -> None:
        """Mark the output as complete."""
        self.write(f" {self.style('✓', 'green')}\n")

    def fail(self) -> None:
        """Mark the output as failed."""
        self.write(f" {self.style('✗', 'red')}\n")

    def style(self, text: str, style: str) -> str:
        """Apply a style to `text`, if colors are enabled."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and self._has_color else text

    def write(self, text: str) -> None:
        """Write text and flush; characters that the stream cannot encode become `?`."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._stream.write(text.encode("ascii", "replace").decode("ascii"))
        self._stream.flush()


#: Control characters except tab and line feed, line separators and lone surrogates: a model's output must not control
#: the terminal.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"

#: Invisible characters that reorder or hide other text: marks, embeddings, overrides and isolates of bidirectional
#: text, zero-width spaces, tags. The two joiners (U+200C, U+200D) and the variation selectors of emoji are kept, which
#: scripts and emoji need.
_INVISIBLE = (
    r"\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

_REPLACED, _REMOVED = re.compile(f"[{_CONTROLS}]"), re.compile(f"[{_INVISIBLE}]")
_EITHER = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")


def strip_control_characters(text: str) -> str:
    r"""Make a text safe for a terminal: replace control characters, and remove invisible ones.

    >>> strip_control_characters("a\x1b[2Jb\n"), strip_control_characters("user\u202etxt.exe")
    ('a�[2Jb\n', 'usertxt.exe')
    """
    if text.isascii() and text.isprintable():
        return text
    return _REMOVED.sub("", _REPLACED.sub("\ufffd", text.replace("\r\n", "\n")))


def json_text(document: object) -> str:
    r"""Write a JSON document that is safe for a terminal: control and invisible characters are escaped.

    >>> json_text({"id": "a\u202eb é"})
    '{\n  "id": "a\\u202eb é"\n}'
    """
    return _EITHER.sub(_escape, json.dumps(document, ensure_ascii=False, indent=2))


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
