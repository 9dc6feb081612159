"""Markdown for terminals, by rich, in styles that are readable on light and dark backgrounds."""

from pygments.token import Comment, Keyword, Name, Number, String
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown
from rich.segment import Segment
from rich.style import Style
from rich.syntax import ANSISyntaxTheme
from rich.text import Text
from rich.theme import Theme

from mdstream_core._terminal import strip_control_characters
from mdstream_core.display._markdown import parse_markdown

#: No grey, no yellow and no background: rich's own styles assume a dark terminal.
_THEME = Theme(
    {
        "markdown.code": "bold cyan",
        "markdown.block_quote": "italic",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.list": "none",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold underline",
        "markdown.h3": "bold",
        "markdown.h4": "bold italic",
        "markdown.hr": "none",
        "markdown.link": "underline",
        "markdown.link_url": "none",
        "markdown.table.border": "none",
        "markdown.table.header": "bold",
    }
)

_CODE_THEME = ANSISyntaxTheme(
    {
        Comment: Style(italic=True),
        Keyword: Style(color="magenta", bold=True),
        Name.Builtin: Style(color="cyan"),
        Name.Class: Style(bold=True),
        Name.Function: Style(bold=True),
        Number: Style(color="cyan"),
        String: Style(color="green"),
    }
)


class _LeftHeading(Heading):
    """A heading at the left, without a box: `Heading` centers it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Markdown(Markdown):
    elements = {**Markdown.elements, "heading_open": _LeftHeading}  # noqa: RUF012  # a class variable of rich


def render_markdown(text: str, console: Console) -> list[Text]:
    """Render Markdown as lines of the console's width, without blank lines around them or blanks at their ends."""
    markdown = _Markdown("", hyperlinks=False)
    markdown.parsed = parse_markdown(text)
    markdown.code_theme = _CODE_THEME  # type: ignore[assignment]  # rich passes it to Syntax, which takes a theme too
    with console.use_theme(_THEME):
        rendered = console.render_lines(markdown, console.options.update(height=None), pad=False)
    lines = [_to_text(line) for line in rendered]
    while lines and not lines[-1].plain:
        lines.pop()
    while lines and not lines[0].plain:
        lines.pop(0)
    return lines


def _to_text(segments: list[Segment]) -> Text:
    line = Text.assemble(
        *((strip_control_characters(part), style or "") for part, style, control in segments if not control)
    )
    line.rstrip()
    return line
