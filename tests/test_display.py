"""`show` and `ashow` with streams of the core and of both frameworks."""

import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from llama_index.core.llms import ChatMessage
from rich.cells import cell_len
from rich.console import Console

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from llamaindex_mdstream import OCIDataScience
from mdstream_core import ModelResponse, OCIModelDeployment, OpenAIChat, Service
from mdstream_core.display import PlainTextView, Summary, ashow, show
from mdstream_core.display._rich import RichView
from mdstream_core.emulator import Emulator, Fault, ModelOutput
from mdstream_core.errors import MDStreamError, StreamTimeout
from mdstream_core.events import Event, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage

RIVERS = "The Nile, the Amazon and the Danube."
REQUEST = "Name three rivers."
PROMPT = [{"role": "user", "content": REQUEST}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip
WEATHER = "What is the weather in Paris?"


@pytest.fixture(scope="module")
def served() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(delay=0.002) as emulator:
        yield emulator


@pytest.fixture
def emulator(served: Emulator) -> Emulator:
    """The emulator, reset."""
    served.reset()
    return served


def core(emulator: Emulator, text: str = REQUEST, **more: Any) -> Iterator[Event]:
    service = Service(OCIModelDeployment(emulator.endpoint))
    try:
        yield from service.client.stream(
            service.call(OpenAIChat(), {"model": "odsc-llm", "messages": [{"role": "user", "content": text}], **more})
        )
    finally:
        service.close()


async def acore(emulator: Emulator) -> AsyncIterator[Event]:
    service = Service(OCIModelDeployment(emulator.endpoint))
    async for event in service.async_client.stream(
        service.call(OpenAIChat(), {"model": "odsc-llm", "messages": PROMPT})
    ):
        yield event
    await service.aclose()


def chat(emulator: Emulator) -> ChatOCIModelDeployment:
    return ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none")


def llm(emulator: Emulator) -> OCIDataScience:
    return OCIDataScience(endpoint=emulator.endpoint, auth_type="none")


#: Every kind of stream, and a function that returns the text of its result.
STREAMS: dict[str, tuple[Callable[[Emulator], Any], Callable[[Any], str]]] = {
    "core": (core, lambda model_response: model_response.text),
    "LangChain": (lambda emulator: chat(emulator).stream(REQUEST), lambda message: message.text),
    "LangChain completions": (
        lambda emulator: OCIModelDeploymentLLM(endpoint=emulator.endpoint, auth_type="none").stream(REQUEST),
        str,
    ),
    "LlamaIndex": (
        lambda emulator: llm(emulator).stream_chat([ChatMessage(REQUEST)]),
        lambda one: one.message.content,
    ),
    "LlamaIndex completions": (lambda emulator: llm(emulator).stream_complete(REQUEST), lambda one: one.text),
}
each_stream = pytest.mark.parametrize(("stream", "text"), STREAMS.values(), ids=STREAMS)


def plain_text_view() -> tuple[PlainTextView, io.StringIO, io.StringIO]:
    out, notes = io.StringIO(), io.StringIO()
    return PlainTextView(out, notes), out, notes


@each_stream
def test_every_stream_is_displayed_and_returned(
    emulator: Emulator, stream: Callable[[Emulator], Any], text: Callable[[Any], str]
) -> None:
    """Output goes to stdout, numbers to the notes, and the framework's complete response is returned."""
    view, out, notes = plain_text_view()
    whole = show(stream(emulator), view=view)

    assert RIVERS == text(whole)
    assert f"{RIVERS}\n" == out.getvalue()
    assert re.fullmatch(r"✓ first token \d\.\d\d s · .*\n", notes.getvalue())


ASYNC: dict[str, tuple[Callable[[Emulator], Any], Callable[[Any], str]]] = {
    "core": (acore, lambda model_response: model_response.text),
    "LangChain": (lambda emulator: chat(emulator).astream(REQUEST), lambda message: message.text),
    "LlamaIndex": (
        lambda emulator: llm(emulator).astream_chat([ChatMessage(REQUEST)]),
        lambda one: one.message.content,
    ),
}


@pytest.mark.parametrize(("stream", "text"), ASYNC.values(), ids=ASYNC)
async def test_async_streams(emulator: Emulator, stream: Callable[[Emulator], Any], text: Callable[[Any], str]) -> None:
    """A coroutine that returns a stream, as in LlamaIndex, is awaited."""
    view, out, _ = plain_text_view()

    assert RIVERS == text(await ashow(stream(emulator), view=view))
    assert f"{RIVERS}\n" == out.getvalue()


def test_the_result_is_of_the_frameworks_class(emulator: Emulator) -> None:
    """The result equals the sum of the chunks, with usage and finish reason."""
    message = show(chat(emulator).stream(REQUEST), view=plain_text_view()[0])
    model_response = show(core(emulator), view=plain_text_view()[0])

    assert isinstance(message, AIMessageChunk)
    assert isinstance(model_response, ModelResponse)
    assert message.usage_metadata is not None
    assert model_response.usage is not None
    assert message.usage_metadata["output_tokens"] == model_response.usage.output
    assert "stop" == model_response.finish_reason == message.response_metadata["finish_reason"]


CALLS: dict[str, Callable[[Emulator], Any]] = {
    "core": lambda emulator: core(emulator, WEATHER, tools=[TOOL]),
    "LangChain": lambda emulator: chat(emulator).bind_tools([TOOL]).stream(WEATHER),
    "LlamaIndex": lambda emulator: llm(emulator).stream_chat([ChatMessage(WEATHER)], tools=[TOOL]),
}


@pytest.mark.parametrize("stream", CALLS.values(), ids=CALLS)
def test_tool_calls_are_displayed(emulator: Emulator, stream: Callable[[Emulator], Any]) -> None:
    """Tool calls are displayed once, with their arguments."""
    view, out, _ = plain_text_view()
    show(stream(emulator), view=view)

    assert '→ get_weather {"city": "Paris"}\n' == out.getvalue()


@each_stream
def test_failures_are_displayed_with_the_partial_response(
    emulator: Emulator, stream: Callable[[Emulator], Any], text: Callable[[Any], str]
) -> None:
    """A failure is explained with code and request id, and raised with its partial response."""
    emulator.script(Fault("trailer", after=6))
    view, out, notes = plain_text_view()
    with pytest.raises(StreamTimeout) as broken:
        show(stream(emulator), view=view)
    text_sent = notes.getvalue()

    assert broken.value.partial is not None
    assert f"{broken.value.partial.text}\n" == out.getvalue()
    assert RIVERS.startswith(broken.value.partial.text)
    assert "✗ The service stopped the response because it took too long.\n" in text_sent
    assert "408 ModelResponseTimeExceeded" in text_sent
    assert f"request id {broken.value.request_id}" in text_sent
    assert "a retry may succeed" in text_sent
    assert f"{len(broken.value.partial.text)} characters" in text_sent


async def test_failures_of_async_streams(emulator: Emulator) -> None:
    """`ashow` displays a failure like `show`."""
    emulator.script(Fault("trailer", after=6))
    view, out, notes = plain_text_view()
    with pytest.raises(StreamTimeout):
        await ashow(chat(emulator).astream(REQUEST), view=view)

    assert RIVERS.startswith(out.getvalue().strip())
    assert "took too long" in notes.getvalue()


def test_error_responses_have_no_partial_response(emulator: Emulator) -> None:
    """No partial response is mentioned if nothing was received."""
    emulator.always(Fault("refuse", "not_authenticated"))
    view, out, notes = plain_text_view()
    with pytest.raises(MDStreamError):
        show(core(emulator), view=view)

    assert "" == out.getvalue()
    assert "✗ The credentials were rejected.\n" in notes.getvalue()
    assert "partial response" not in notes.getvalue()


def test_interrupting_closes_the_connection(emulator: Emulator) -> None:
    """Ctrl-C displays the received text and closes the connection."""
    emulator.script(Fault("hold", after=4, seconds=30))

    class Impatient(PlainTextView):
        def show_event(self, event: Event) -> None:
            super().show_event(event)
            if isinstance(event, TextDelta) and "Nile" in event.text:
                raise KeyboardInterrupt

    out, notes = io.StringIO(), io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        show(core(emulator), view=Impatient(out, notes))

    assert emulator.last.client_closed.wait(5)
    assert "The Nile\n" == out.getvalue()
    assert "■ stopped" in notes.getvalue()


def test_reasoning_is_written_to_the_notes(emulator: Emulator) -> None:
    """Standard output has only the text."""
    view, out, notes = plain_text_view()
    with Emulator(model=lambda request: ModelOutput(text=("Four.",), reasoning=("Two ", "and two."))) as thinking:
        show(core(thinking), view=view)

    assert "Four.\n" == out.getvalue()
    assert notes.getvalue().startswith("Two and two.\n")


def test_foreign_errors_are_displayed() -> None:
    """Errors of other classes are displayed with their message."""

    def failing() -> Iterator[Event]:
        yield TextDelta("half")
        raise KeyError("x")

    view, out, notes = plain_text_view()
    with pytest.raises(KeyError):
        show(failing(), view=view)

    assert "half\n" == out.getvalue()
    assert notes.getvalue().startswith("✗ The request failed.\n  KeyError: 'x'\n")


def test_buffered_text_is_displayed(emulator: Emulator) -> None:
    """Text of `error.partial` that was not yielded is displayed before the failure."""

    def interrupted() -> Iterator[Event]:
        yield TextDelta("half ")
        error = StreamTimeout("too long")
        error.partial = ModelResponse.from_events([TextDelta("half <tool")])
        raise error

    view, out, _ = plain_text_view()
    with pytest.raises(StreamTimeout):
        show(interrupted(), view=view)

    assert "half <tool\n" == out.getvalue()


def test_other_objects_are_rejected() -> None:
    """The error names the accepted streams."""
    with pytest.raises(TypeError, match=r"stream of int cannot be displayed \(hint: pass a stream of Client\.stream"):
        show([1], view=plain_text_view()[0])


def test_summary_numbers() -> None:
    """The rate counts from the first token; without usage each chunk is one token."""
    assert 10.0 == Summary(3.0, 1.0, 99, Usage(5, 21, 26)).tokens_per_second
    assert 5.0 == Summary(3.0, 1.0, 11).tokens_per_second
    assert Summary(1.01, 1.0, 11).tokens_per_second is None
    assert (
        "first token 1.00 s · 3.0 s · 10 tokens/s · 5 tokens in, 21 out"
        == Summary(3.0, 1.0, 99, Usage(5, 21, 26)).to_text()
    )


LONG = "Ein ganz langer Absatz über die Donau, den Amazonas und den Nil. " * 12
TEXTS = {
    "paragraphs": f"{LONG}\n\n{LONG}",
    "one word": "x" * 500,
    "wide characters": "長い川の名前は何ですか。" * 40,
    "code": "def f(x):\n\treturn x\n\n    # deep\n" + "y" * 130,
    "steers": "a\x1b[2J\x1b]0;title\x07b\r\nc",
}


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_terminal_lines_are_wrapped(text: str, width: int, size: int) -> None:
    """For any chunk size no line is wider than the terminal, no word is lost, and no control character is written."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, highlight=False, color_system="truecolor")
    pieces = [TextDelta(text[at : at + size]) for at in range(0, len(text), size)]
    show([*pieces, Usage(1, 2, 3), Finish("stop")], view=RichView(console))
    shown = settled(file.getvalue())

    assert max(cell_len(line) for line in shown.splitlines()) <= width
    assert re.sub(r"\s|�", "", text.translate({27: None, 7: None})) == re.sub(r"\s|�|✓.*", "", shown, flags=re.DOTALL)


def settled(written: str) -> str:
    """Return the final content of a terminal, without the status line."""
    lines = [""]
    row = 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", written):
        match part:
            case "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            case "\x1b[1A":
                row -= 1
            case "\x1b[2K":
                lines[row] = ""
            case _ if not part.startswith(("\x1b", "\r")):
                lines[row] += part
    return "\n".join(lines)


def test_terminal_shows_calls_reasoning_and_failures() -> None:
    """Calls, reasoning and failures have their own lines."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, highlight=False)
    events = [
        ReasoningDelta("Hm, "),
        ReasoningDelta("Paris."),
        TextDelta("I look."),
        ToolCallDelta(0, "c", "get_weather", '{"city": '),
        ToolCallDelta(0, arguments='"Paris"}'),
    ]

    def broken() -> Iterator[Event]:
        yield from events
        raise StreamTimeout("OCI ended the stream: 408", code="ServiceTimeout", request_id="r-1")

    with pytest.raises(StreamTimeout):
        show(broken(), view=RichView(console))
    shown = settled(file.getvalue()).splitlines()

    assert ["Hm, Paris.", "I look.", '→ get_weather {"city": "Paris"}'] == [line.rstrip() for line in shown[:3]]
    assert "✗ The service stopped the response because it took too long." in shown
    assert "  StreamTimeout: OCI ended the stream: 408" in shown
    assert "  code ServiceTimeout · request id r-1 · a retry may succeed" in shown


def test_notebook_updates_one_output() -> None:
    """IPython gets HTML with escaped output, and plain text."""
    shells = pytest.importorskip("IPython.core.interactiveshell", reason="pip install ipython")
    capture = pytest.importorskip("IPython.utils.capture")
    from mdstream_core.display._notebook import NotebookView  # noqa: PLC0415

    shells.InteractiveShell.instance()
    with capture.capture_output() as captured:
        show([TextDelta("<b>Par"), TextDelta("is</b>"), Finish("stop")], view=NotebookView())
        with pytest.raises(StreamTimeout):
            show(failing(), view=NotebookView())
    shown = [output.data for output in captured.outputs]
    pages = [one["text/html"] for one in shown if "text/html" in one]

    assert any("&lt;b&gt;Paris&lt;/b&gt;" in page for page in pages)
    assert not [page for page in pages if "<b>" in page]
    assert "half\n✗ The service stopped the response because it took too long." in shown[-1]["text/plain"]


def failing() -> Iterator[Event]:
    """A stream that fails after some text."""
    yield TextDelta("half")
    raise StreamTimeout("too long")
