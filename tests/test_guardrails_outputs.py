"""Guardrails of tool calls and citations in outputs: core, both frameworks, streamed and not, and the agent middleware."""

import asyncio
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

import pytest
from _guardrails import checks, langchain, llamaindex, oci
from langchain_core.messages import AIMessage, HumanMessage
from llama_index.core.llms import ChatMessage

import langchain_mdstream
import llamaindex_mdstream
from mdstream_core import GuardrailPolicy, GuardrailResults, GuardrailViolation, ProviderData, TextDelta, ToolCallDelta
from mdstream_core.emulator import Emulator
from mdstream_core.emulator.model import ModelOutput, ToolCall
from mdstream_core.events import Event, Finish, PIIEntity
from mdstream_core.guardrails import GuardedOutput

SPEC = {"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {"to": {}}}}}

#: What the model writes as arguments, by the last message.
ARGUMENTS = {
    "clean": '{"to": "the castle"}',
    "private": '{"to": "jane@x.org"}',
    "unsafe": '{"to": "I will kill you"}',
}


def call_tool(request: dict[str, Any]) -> Any:
    """A call of the tool, in pieces, unless the last message is no key."""
    text = request["messages"][-1]["content"]
    text = text if isinstance(text, str) else text[0]["text"]
    if text not in ARGUMENTS:
        return text
    arguments = ARGUMENTS[text]
    return ModelOutput.from_text("", tool_calls=[ToolCall("call_1", "send", (arguments[:9], arguments[9:]))])


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    with Emulator(model=call_tool) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared: Emulator) -> Emulator:
    shared.reset()
    return shared


def _langchain_calls(message: Any) -> Any:
    return [call["args"] for call in message.tool_calls]


async def _list(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def _awaited(stream: Any) -> list[Any]:
    return [item async for item in await stream]


def _llamaindex_calls(llm: Any, response: Any) -> Any:
    calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return [call.tool_kwargs for call in calls]


def _user_messages(text: str) -> list[ChatMessage]:
    return [ChatMessage(text)]


#: call style: (factory of the model, function of the model and a text that returns the arguments of the calls)
METHODS: dict[str, tuple[Callable[..., Any], Callable[[Any, str], Any]]] = {
    "langchain invoke": (langchain, lambda model, text: _langchain_calls(model.bind(tools=[SPEC]).invoke(text))),
    "langchain ainvoke": (
        langchain,
        lambda model, text: _langchain_calls(asyncio.run(model.bind(tools=[SPEC]).ainvoke(text))),
    ),
    "langchain stream": (
        langchain,
        lambda model, text: _langchain_calls(reduce(add, model.bind(tools=[SPEC]).stream(text))),
    ),
    "langchain astream": (
        langchain,
        lambda model, text: _langchain_calls(reduce(add, asyncio.run(_list(model.bind(tools=[SPEC]).astream(text))))),
    ),
    "llamaindex chat": (
        llamaindex,
        lambda llm, text: _llamaindex_calls(llm, llm.chat(_user_messages(text), tools=[SPEC])),
    ),
    "llamaindex achat": (
        llamaindex,
        lambda llm, text: _llamaindex_calls(llm, asyncio.run(llm.achat(_user_messages(text), tools=[SPEC]))),
    ),
    "llamaindex stream_chat": (
        llamaindex,
        lambda llm, text: _llamaindex_calls(llm, list(llm.stream_chat(_user_messages(text), tools=[SPEC]))[-1]),
    ),
    "llamaindex astream_chat": (
        llamaindex,
        lambda llm, text: _llamaindex_calls(
            llm, asyncio.run(_awaited(llm.astream_chat(_user_messages(text), tools=[SPEC])))[-1]
        ),
    ),
}
every_method = pytest.mark.parametrize(("build", "send"), METHODS.values(), ids=METHODS)
OUTPUT_ONLY: dict[str, Any] = {"check_input": False}


@every_method
def test_arguments_of_tool_calls_are_checked(emulator: Emulator, build: Any, send: Callable[[Any, str], Any]) -> None:
    """What passes is returned whole; a violation names the tool call, and nothing of it is returned."""
    model = build(emulator, **OUTPUT_ONLY)

    assert [{"to": "the castle"}] == send(model, "clean")
    assert ARGUMENTS["clean"] in checks(emulator)
    with pytest.raises(GuardrailViolation, match="blocked the tool call: content_moderation:OVERALL") as caught:
        send(model, "unsafe")
    assert "tool call" == caught.value.location
    assert "kill" not in str(caught.value.partial and caught.value.partial.tool_calls)


@every_method
def test_arguments_are_redacted(emulator: Emulator, build: Any, send: Callable[[Any, str], Any]) -> None:
    """As text is; with `pii="block"` they are a violation."""
    assert [{"to": "[REDACTED_EMAIL]"}] == send(build(emulator, pii="redact", **OUTPUT_ONLY), "private")
    with pytest.raises(GuardrailViolation, match="pii entities=1: EMAIL"):
        send(build(emulator, pii="block", **OUTPUT_ONLY), "private")


@every_method
def test_the_check_of_tool_calls_can_be_switched_off(
    emulator: Emulator, build: Any, send: Callable[[Any, str], Any]
) -> None:
    """Nothing is sent then, and nothing held back."""
    model = build(emulator, pii="block", check_tool_calls=False, **OUTPUT_ONLY)

    assert [{"to": "jane@x.org"}] == send(model, "private")
    assert [] == checks(emulator)


CITATIONS = [{"start": 0, "end": 4, "text": "jane@x.org", "documentIds": ["doc-1"], "url": "https://jane@x.org/"}]
ANNOTATIONS = [{"type": "url_citation", "url_citation": {"url": "https://x.org", "title": "jane@x.org"}}]


def find_address(text: str) -> GuardrailResults:
    """The address in a text, as the service reports it."""
    at = text.find("jane@x.org")
    entities = [PIIEntity(length=10, offset=at, text="jane@x.org", label="EMAIL", score=1.0)] if at >= 0 else []
    return GuardrailResults(None, tuple(entities), None)


def pass_through(output: GuardedOutput, *events: Event) -> list[Event]:
    """The events that are delivered, with a check at the end."""
    delivered = [passed for event in events for passed in output.add(event)]
    for channel in output.unchecked():
        output.record(channel, find_address(channel.text()))
    return [*delivered, *output.release(final=True)]


@pytest.mark.parametrize(
    ("name", "value"), [("citations", CITATIONS), ("annotations", ANNOTATIONS)], ids=["Cohere", "OpenAI"]
)
def test_citations_are_redacted_and_blocked(name: str, value: Any) -> None:
    """They repeat the text; ids and URLs stay, and the order of the events is kept."""
    events = (TextDelta("Ask her."), ProviderData(name, value), Finish("stop"))
    text, cited, end = pass_through(GuardedOutput(GuardrailPolicy(pii="redact")), *events)

    assert (events[0], events[2]) == (text, end)
    assert isinstance(cited, ProviderData)
    assert str(value).replace("'jane@x.org'", "'[REDACTED_EMAIL]'") == str(cited.value)
    with pytest.raises(GuardrailViolation, match="blocked the citation: pii entities=1: EMAIL"):
        pass_through(GuardedOutput(GuardrailPolicy(pii="block")), *events)
    off = GuardedOutput(GuardrailPolicy(pii="block", check_citations=False))
    assert events == tuple(pass_through(off, *events))


def test_other_data_of_a_provider_passes() -> None:
    """Only citations have texts that are checked."""
    event = ProviderData("searchQueries", [{"text": "jane@x.org"}])

    assert [event] == GuardedOutput(GuardrailPolicy(pii="block")).add(event)


def test_citations_do_not_wait_for_the_overlap() -> None:
    """They are complete, so that a window releases them, and what follows them."""
    output = GuardedOutput(GuardrailPolicy(window_size=5, overlap=30, pii="redact"))
    for event in (ProviderData("citations", CITATIONS), TextDelta("a" * 40)):
        assert [] == output.add(event)
    for channel in output.unchecked():
        output.record(channel, find_address(channel.text()))
    cited, text = output.release()

    assert isinstance(cited, ProviderData)
    assert "[REDACTED_EMAIL]" == cited.value[0]["text"]
    assert TextDelta("a" * 10) == text


@pytest.mark.parametrize("size", [1, 4, 11, 100])
def test_parallel_calls_are_checked_apart(size: int) -> None:
    """Their deltas may alternate; each call keeps its own arguments, whatever the windows."""
    texts = ['{"to": "jane@x.org", "n": 1}', '{"note": "nothing here"}']
    output = GuardedOutput(GuardrailPolicy(window_size=size, max_window_size=size, overlap=15, pii="redact"))
    delivered: list[Event] = []
    for at in range(0, max(map(len, texts)), 3):
        for index, text in enumerate(texts):
            first = {"id": f"call_{index}", "name": "send"} if at == 0 else {}
            delivered += output.add(ToolCallDelta(index, arguments=text[at : at + 3], **first))
            if output.is_due:
                for channel in output.unchecked():
                    output.record(channel, find_address(channel.text()))
                delivered += output.release()
    for channel in output.unchecked():
        output.record(channel, find_address(channel.text()))
    delivered += output.release(final=True)
    calls = [event for event in delivered if isinstance(event, ToolCallDelta)]

    assert ['{"to": "[REDACTED_EMAIL]", "n": 1}', texts[1]] == [
        "".join(call.arguments for call in calls if call.index == index) for index in (0, 1)
    ]
    assert ["call_0", "call_1"] == [call.id for call in calls if call.id]


#: framework: function of the emulator and fields of the guardrails that returns the citations of an output
CITING: dict[str, Callable[..., Any]] = {
    "langchain": lambda emulator, **policy: (
        langchain_mdstream.ChatOCIGenAI(
            model="cohere.command-a-03-2025",
            **oci(emulator),
            guardrails=langchain_mdstream.OCIGuardrails(**oci(emulator), **policy),
        )
        .invoke("hello", documents=[{"id": "d", "text": "Write to jane@x.org now."}])
        .additional_kwargs["citations"]
    ),
    "llamaindex": lambda emulator, **policy: (
        llamaindex_mdstream.OCIGenAI(
            model="cohere.command-a-03-2025",
            **oci(emulator),
            guardrails=llamaindex_mdstream.OCIGuardrails(**oci(emulator), **policy),
        )
        .chat(_user_messages("hello"), documents=[{"id": "d", "text": "Write to jane@x.org now."}])
        .additional_kwargs["citations"]
    ),
}


@pytest.mark.parametrize("cite", CITING.values(), ids=CITING)
def test_citations_of_a_service_are_checked(emulator: Emulator, cite: Callable[..., Any]) -> None:
    """Cohere's on OCI Generative AI."""
    (cited,) = cite(emulator, check_input=False)

    assert cited["text"] in checks(emulator)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_middleware_checks_calls_and_citations(emulator: Emulator, is_async: bool) -> None:
    """After the model; what is redacted replaces the message in the agent's state."""

    def run(message: AIMessage, **options: Any) -> Any:
        middleware = langchain_mdstream.middleware.OCIGuardrailsMiddleware(
            **oci(emulator), apply_to_output=True, **options
        )
        state = {"messages": [HumanMessage("Hi"), message]}
        return asyncio.run(middleware.aafter_model(state)) if is_async else middleware.after_model(state)

    call = {"name": "send", "args": {"to": "jane@x.org"}, "id": "1", "type": "tool_call"}
    part = {"type": "text", "text": "Ask her.", "annotations": ANNOTATIONS}
    message = AIMessage([part], tool_calls=[call], additional_kwargs={"citations": CITATIONS}, id="m")
    (redacted,) = run(message, pii="redact")["messages"]

    assert {"to": "[REDACTED_EMAIL]"} == redacted.tool_calls[0]["args"]
    assert "[REDACTED_EMAIL]" == redacted.additional_kwargs["citations"][0]["text"]
    assert "[REDACTED_EMAIL]" == redacted.content[0]["annotations"][0]["url_citation"]["title"]
    assert "jane@x.org" == message.tool_calls[0]["args"]["to"]
    with pytest.raises(GuardrailViolation, match="pii entities=3"):
        run(message, pii="block")
    assert run(message, pii="block", check_tool_calls=False, check_citations=False) is None
    clean = AIMessage("", tool_calls=[{**call, "args": {"to": "nobody"}}])
    assert run(clean, pii="redact") is None
