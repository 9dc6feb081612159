"""The HTML of an output in a notebook."""

from html import escape

from mdstream_core._terminal import strip_control_characters

#: Colors of the bar at the side, readable in light and dark themes. Text keeps the notebook's colors.
RUNNING_COLOR, SUCCESS_COLOR, FAILURE_COLOR = "#1e88e5", "#43a047", "#e53935"


def to_div(text: str, style: str = "") -> str:
    """Return a text as HTML, escaped and with its line breaks; an empty text without an element."""
    if not text:
        return ""
    escaped = escape(strip_control_characters(text))
    return f'<div style="white-space:pre-wrap;overflow-wrap:anywhere;{style}">{escaped}</div>'


def to_box(color: str, html: str) -> str:
    """Return HTML with a bar at its side."""
    return f'<div style="border-left:3px solid {color};padding-left:.8em">{html}</div>'


def to_details(title: str, text: str) -> str:
    """Return a text that is folded behind its title."""
    style = "white-space:pre-wrap;overflow-wrap:anywhere;margin:.3em 0 0;background:none;font-size:.9em"
    escaped = escape(strip_control_characters(text))
    return (
        f'<details style="font-size:.9em"><summary style="cursor:pointer">{escape(title)}</summary>'
        f'<pre style="{style}">{escaped}</pre></details>'
    )
