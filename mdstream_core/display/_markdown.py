"""Markdown of a model's response, as tokens and as HTML that is safe to display.

HTML in the response is displayed as text. Images are displayed as links: the browser would load them, and their
addresses could contain parts of the conversation. Other links than those to web pages and mail addresses are displayed
as text: they could open programs, or pages of the notebook server. Control characters are replaced after parsing,
because entities such as `&#27;` create them.
"""

from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from mdstream_core._terminal import strip_control_characters

_LINK_SCHEMES = ("https://", "http://", "mailto:")


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802  # a method of markdown-it
        return url.lower().startswith(_LINK_SCHEMES)


_PARSER = _Parser("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


def parse_markdown(text: str) -> list[Token]:
    """Parse Markdown. A line break within a paragraph is kept, as chat clients do."""
    tokens = _PARSER.parse(strip_control_characters(text))
    for token in _iter_tokens(tokens):
        token.content = strip_control_characters(token.content)
        if token.type == "softbreak":
            token.type, token.tag = "hardbreak", "br"
        if token.type == "link_open":
            token.attrs["href"] = strip_control_characters(str(token.attrs.get("href", "")))
            token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
    return tokens


def markdown_to_html(text: str) -> str:
    r"""Render Markdown as HTML.

    >>> markdown_to_html("*Hi* <script>")
    '<p><em>Hi</em> &lt;script&gt;</p>\n'
    """
    return str(_PARSER.renderer.render(parse_markdown(text), _PARSER.options, {}))


def _iter_tokens(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _iter_tokens(token.children or ())
