"""Results of tools in a conversation whose ids repeat, are missing, or come in another order."""

import asyncio
import json
import random
from collections.abc import Callable
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest
from _langchain_platforms import chat_at
from _platforms import PLATFORM_CASES, emulator, shared_emulator
from _tool_models import genai
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock

from mdstream_core.dialects import dialect
from mdstream_core.dialects._tool_results import assign_ids, has_matching_ids
from mdstream_core.emulator import Emulator
from mdstream_core.emulator.services.oci_genai import requests

__all__ = ["emulator", "shared_emulator"]  # fixtures

Message = dict[str, Any]
Reported = list[tuple[str | None, str]]


def user(text: str = "And now?") -> Message:
    return {"role": "user", "content": text}


def calls(*named: tuple[Any, str]) -> Message:
    """An assistant message that calls `weather` for each city, under the given ids."""
    wires = [
        {"id": id, "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": city})}}
        for id, city in named
    ]
    return {"role": "assistant", "content": None, "tool_calls": wires}


def result(id: Any, text: str) -> Message:
    return {"role": "tool", "tool_call_id": id, "content": text}


ROME, OSLO = calls(("call_0", "Rome"), ("call_1", "Oslo")), calls(("call_0", "Lima"), ("call_1", "Cairo"))
FIRST = [user(), ROME, result("call_0", "hot"), result("call_1", "cold"), {"role": "assistant", "content": "So."}]
TWICE = [*FIRST, user(), OSLO, result("call_0", "mild"), result("call_1", "dry")]

#: name: (a conversation, each result beside the city of its call)
ROUNDS: dict[str, tuple[list[Message], Reported]] = {
    "ids of another round": (TWICE, [("Rome", "hot"), ("Oslo", "cold"), ("Lima", "mild"), ("Cairo", "dry")]),
    "a round of two, a round of one": (
        [*FIRST, user(), calls(("call_0", "Lima")), result("call_0", "mild")],
        [("Rome", "hot"), ("Oslo", "cold"), ("Lima", "mild")],
    ),
    "two rounds without a word between": (
        [*FIRST[:4], OSLO, result("call_0", "mild"), result("call_1", "dry")],
        [("Rome", "hot"), ("Oslo", "cold"), ("Lima", "mild"), ("Cairo", "dry")],
    ),
    "in another order": (
        [*FIRST, user(), OSLO, result("call_1", "dry"), result("call_0", "mild")],
        [("Rome", "hot"), ("Oslo", "cold"), ("Lima", "mild"), ("Cairo", "dry")],
    ),
    "a result is missing in the first round": (
        [*FIRST[:2], result("call_1", "cold"), user(), OSLO, result("call_0", "mild"), result("call_1", "dry")],
        [("Oslo", "cold"), ("Lima", "mild"), ("Cairo", "dry")],
    ),
    "a result is missing in the last round": (
        [*FIRST, user(), OSLO, result("call_1", "dry")],
        [("Rome", "hot"), ("Oslo", "cold"), ("Cairo", "dry")],
    ),
    "one id twice in a message": (
        [user(), calls(("0", "Rome"), ("0", "Oslo")), result("0", "hot"), result("0", "cold")],
        [("Rome", "hot"), ("Oslo", "cold")],
    ),
    "no ids": (
        [user(), calls((None, "Rome"), ("", "Oslo")), result(None, "hot"), result("", "cold")],
        [("Rome", "hot"), ("Oslo", "cold")],
    ),
    "no ids, twice": (
        [
            *[user(), calls((None, "Rome"), (None, "Oslo")), result("", "hot"), result("", "cold")],
            *[user(), calls((None, "Lima"), (None, "Cairo")), result("", "mild"), result("", "dry")],
        ],
        [("Rome", "hot"), ("Oslo", "cold"), ("Lima", "mild"), ("Cairo", "dry")],
    ),
    "no ids, results by place in another order": (
        [user(), calls((None, "Rome"), ("", "Oslo")), result("call_1", "cold"), result("call_0", "hot")],
        [("Rome", "hot"), ("Oslo", "cold")],
    ),
    "no ids, results by place in another order, twice": (
        [
            *[user(), calls((None, "Rome"), (None, "Oslo")), result("call_1", "cold"), result("call_0", "hot")],
            *[user(), calls((None, "Lima"), (None, "Cairo")), result("call_1", "dry"), result("call_0", "mild")],
        ],
        [("Rome", "hot"), ("Oslo", "cold"), ("Lima", "mild"), ("Cairo", "dry")],
    ),
    "no ids, the first result has none": (
        [user(), calls((None, "Rome"), (None, "Oslo")), result(None, "cold"), result("call_0", "hot")],
        [("Rome", "hot"), ("Oslo", "cold")],
    ),
    "an id that is also the place of a call without one": (
        [user(), calls(("call_1", "Rome"), (None, "Oslo")), result("call_1", "hot"), result("", "cold")],
        [("Rome", "hot"), ("Oslo", "cold")],
    ),
    "only the first has an id": (
        [
            user(),
            calls(("a", "Rome"), (None, "Oslo"), (None, "Lima")),
            *([result("call_2", "mild"), result("a", "hot"), result("call_1", "cold")]),
        ],
        [("Rome", "hot"), ("Oslo", "cold"), ("Lima", "mild")],
    ),
    "results without ids": (
        [user(), ROME, result(None, "hot"), result("", "cold")],
        [("Rome", "hot"), ("Oslo", "cold")],
    ),
    "a result that comes after the next call": (
        [user(), calls(("a", "Rome")), calls(("b", "Oslo")), result("b", "cold"), result("a", "hot")],
        [("Rome", "hot"), ("Oslo", "cold")],
    ),
}


def _generic(body: Message) -> Reported:
    """The results as a reader of the wire finds them: under the id of the last message that has it."""
    cities: dict[Any, str] = {}
    reported: Reported = []
    for message in body["messages"]:
        for call in message.get("toolCalls") or ():
            function = call.get("function") or call
            assert call["id"] not in cities, "an id stands for one call only"
            cities[call["id"]] = json.loads(function["arguments"])["city"]
        if message["role"] == "TOOL":
            reported.append((cities.get(message["toolCallId"]), message["content"][0]["text"]))
    return reported


def _cohere(body: Message) -> Reported:
    history = [*(turn.get("toolResults") or () for turn in body["chatHistory"]), body.get("toolResults") or ()]
    return [
        (one["call"]["parameters"].get("city"), one["outputs"][0]["output"]) for results in history for one in results
    ]


def _responses(body: Message) -> Reported:
    """The results of OpenAI's Responses API, whose calls and results are items."""
    calls = [item for item in body["input"] if item["type"] == "function_call"]
    cities = {item["call_id"]: json.loads(item["arguments"])["city"] for item in calls}
    assert len(cities) == len(calls), "an id stands for one call only"
    results = [item for item in body["input"] if item["type"] == "function_call_output"]
    return [(cities.get(item["call_id"]), item["output"]) for item in results]


#: name of a dialect: how its body is read
READERS: dict[str, Callable[[Message], Reported]] = {
    "oci-generic": _generic,
    "oci-generic-google": _generic,
    "oci-generic-openai": _generic,
    "oci-cohere": _cohere,
    "oci-cohere-v2": _generic,
    "openai-responses": _responses,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("messages", "wanted"), ROUNDS.values(), ids=ROUNDS)
def test_a_result_belongs_to_the_call_before_it(messages: list[Message], wanted: Reported, name: str) -> None:
    """
    Whatever the ids are: in every format each result is beside the arguments of its own call.
    """
    before = json.dumps(messages)
    body = dialect(name).build_payload({"messages": messages}, stream=False)

    assert sorted(wanted, key=str) == sorted(READERS[name](body), key=str)
    assert before == json.dumps(messages)


@pytest.mark.parametrize(("messages", "wanted"), ROUNDS.values(), ids=ROUNDS)
def test_gemini_receives_each_result_after_its_call(messages: list[Message], wanted: Reported) -> None:
    """
    One call in each message, and its result, if there is one, is the next message.
    """
    body = dialect("oci-generic-google").build_payload({"messages": messages}, stream=False)
    sent = body["messages"]
    behind = [
        (json.loads(message["toolCalls"][0]["arguments"])["city"], after["content"][0]["text"])
        for message, after in pairwise(sent)
        if message.get("toolCalls") and after["role"] == "TOOL"
    ]

    assert all(len(message["toolCalls"]) == 1 for message in sent if message.get("toolCalls"))
    assert wanted == behind


@pytest.mark.parametrize("name", ["openai-chat", "auto"])
def test_openai_servers_get_an_id_for_each_call(name: str) -> None:
    """
    Ids that are there are left alone, also if a later message has them again; missing ones are made.
    """

    def sent(case: str) -> tuple[list[str], list[str]]:
        messages = dialect(name).build_payload({"messages": ROUNDS[case][0]}, stream=False)["messages"]
        called = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
        return called, [message["tool_call_id"] for message in messages if message["role"] == "tool"]

    assert (["call_0", "call_1"] * 2, ["call_0", "call_1"] * 2) == sent("ids of another round")
    assert (["call_0", "call_1"] * 2, ["call_0", "call_1"] * 2) == sent("no ids, twice")
    assert (["0", "0_2"], ["0", "0_2"]) == sent("one id twice in a message")
    assert (["call_0", "call_1"], ["call_1", "call_0"]) == sent("no ids, results by place in another order")


def test_results_without_a_call_and_second_results_stay() -> None:
    """
    A result that answers no call keeps its id; a second one for the same call stays with that call.
    """
    messages = [user(), ROME, result("call_0", "hot"), result("call_0", "hotter"), result("zz", "?")]
    body = dialect("oci-generic-google").build_payload({"messages": messages}, stream=False)

    assert [("Rome", "hot"), ("Rome", "hotter"), (None, "?")] == _generic(body)
    assert "zz" == body["messages"][-1]["toolCallId"]


def test_reasoning_and_text_of_split_calls_are_sent_once() -> None:
    """
    Where one message becomes several, only the first has its text and its reasoning.
    """
    content = {**ROME, "content": "Let me look.", "reasoning_content": "Hm."}
    body = dialect("oci-generic-google").build_payload({"messages": [user(), content]}, stream=False)

    assert ["Let me look.", "."] == [message["content"][0]["text"] for message in body["messages"][1:]]
    assert ["Hm.", None] == [message.get("reasoningContent") for message in body["messages"][1:]]


GEMINI, COMMAND, VISION = "google.gemini-2.5-flash", "cohere.command-a-03-2025", "cohere.command-a-reasoning"
SEEN: dict[str, Callable[[Message], Reported]] = {GEMINI: _generic, COMMAND: _cohere, VISION: _generic}


def _lc(messages: list[Message]) -> list[BaseMessage]:
    made: list[BaseMessage] = []
    for message in messages:
        match message:
            case {"tool_calls": wires}:
                made.append(
                    AIMessage(
                        "",
                        tool_calls=[
                            {"name": "weather", "args": json.loads(one["function"]["arguments"]), "id": one["id"]}
                            for one in wires
                        ],
                    )
                )
            case {"role": "tool", "content": text, "tool_call_id": id}:
                made.append(ToolMessage(text, tool_call_id=id or ""))
            case {"role": "user", "content": text}:
                made.append(HumanMessage(text))
            case {"content": text}:
                made.append(AIMessage(text))
    return made


def _li(messages: list[Message]) -> list[ChatMessage]:
    made: list[ChatMessage] = []
    for message in messages:
        blocks: list[Any] = [TextBlock(text=message["content"])] if message["content"] else []
        blocks += [
            ToolCallBlock(tool_call_id=one["id"], tool_name="weather", tool_kwargs=one["function"]["arguments"])
            for one in message.get("tool_calls") or ()
        ]
        more = {"tool_call_id": message["tool_call_id"]} if message["role"] == "tool" else {}
        made.append(ChatMessage(role=message["role"], blocks=blocks, additional_kwargs=more))
    return made


NAMED = [name for name, (messages, _) in ROUNDS.items() if all(one.get("tool_call_id", "x") for one in messages)]


@pytest.mark.parametrize("call_method", ["invoke", "ainvoke", "stream"])
@pytest.mark.parametrize("case", ROUNDS)
@pytest.mark.parametrize("model", SEEN)
def test_langchain_sends_each_result_with_its_call(emulator: Emulator, model: str, case: str, call_method: str) -> None:
    """
    The same from messages of LangChain.
    """
    messages, wanted = ROUNDS[case]
    chat = chat_at(PLATFORM_CASES["OCI GenAI GENERIC"], emulator, model=model)
    match call_method:
        case "invoke":
            chat.invoke(_lc(messages))
        case "ainvoke":
            asyncio.run(chat.ainvoke(_lc(messages)))
        case _:
            list(chat.stream(_lc(messages)))

    assert sorted(wanted, key=str) == sorted(SEEN[model](emulator.last.json["chatRequest"]), key=str)


@pytest.mark.parametrize("call_method", ["chat", "achat", "stream_chat"])
@pytest.mark.parametrize("case", NAMED)
@pytest.mark.parametrize("model", SEEN)
def test_llamaindex_sends_each_result_with_its_call(
    emulator: Emulator, model: str, case: str, call_method: str
) -> None:
    """
    The same from messages of LlamaIndex.
    """
    messages, wanted = ROUNDS[case]
    llm = genai(emulator, model)
    match call_method:
        case "chat":
            llm.chat(_li(messages))
        case "achat":
            asyncio.run(llm.achat(_li(messages)))
        case _:
            list(llm.stream_chat(_li(messages)))

    assert sorted(wanted, key=str) == sorted(SEEN[model](emulator.last.json["chatRequest"]), key=str)


def test_llamaindex_gives_calls_without_ids_an_id_by_index(emulator: Emulator) -> None:
    """
    Its own names repeat in every message.
    """
    messages = [
        *[user(), calls((None, "Rome"), (None, "Oslo")), result("call_0", "hot"), result("call_1", "cold")],
        *[user(), calls((None, "Lima"), (None, "Cairo")), result("call_0", "mild"), result("call_1", "dry")],
    ]
    genai(emulator, GEMINI).chat(_li(messages))

    assert ROUNDS["ids of another round"][1] == _generic(emulator.last.json["chatRequest"])


@pytest.mark.parametrize("case", ["a result is missing in the first round", "in another order", "ids of another round"])
def test_the_emulator_matches_cohere_results_with_calls(case: str) -> None:
    """
    The first format of Cohere has no ids; a result repeats its call.
    """
    messages, wanted = ROUNDS[case]
    read = requests.parse_cohere(dialect("oci-cohere").build_payload({"messages": messages}, stream=False))["messages"]
    cities = {
        call["id"]: json.loads(call["function"]["arguments"])["city"]
        for message in read
        for call in message.get("tool_calls") or ()
    }
    seen = [(cities[message["tool_call_id"]], message["content"]) for message in read if message["role"] == "tool"]

    assert sorted(wanted) == sorted(seen)  # type: ignore[type-var]


def _any_messages(chance: random.Random) -> list[Any]:
    """A conversation, most often with matching ids: few ids, so that they repeat, and a flaw now and then."""
    ids: list[Any] = [f"call_{number}" for number in range(chance.choice([2, 50]))]
    ids += chance.choice([[], [], ["", None, 5, ("a",)]])
    messages: list[Any] = []
    for _ in range(chance.randint(0, 5)):
        made = [{"id": chance.choice(ids), "function": {"name": "f"}} for _ in range(chance.randint(0, 3))]
        messages += [user(), {"role": "assistant", "content": "", "tool_calls": made}]
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in made]
    if messages and chance.random() < 0.4:
        at = chance.randrange(len(messages))
        flaws: list[Any] = [
            None,
            MappingProxyType(messages[at]),
            {"role": "tool", "content": "x"},
            {"role": "tool", "tool_call_id": "other", "content": "x"},
            {"role": "function", "name": "f", "content": "x"},
            {"role": "assistant", "tool_calls": "text"},
            {"role": "assistant", "tool_calls": ({"id": "a"}, {"id": "a"})},
            {"role": "assistant", "tool_calls": [None]},
            {"role": "assistant", "tool_calls": [MappingProxyType({"id": "a"})]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
            {"role": "tool", "tool_calls": [{"id": "a"}], "tool_call_id": "b"},
        ]
        messages[at] = chance.choice(flaws)
    if chance.random() < 0.2:
        chance.shuffle(messages)
    return messages


@pytest.mark.parametrize("across_turns", [False, True])
def test_ids_that_match_are_not_assigned(across_turns: bool) -> None:
    """What is found at once to have matching ids is what `assign_ids` returns unchanged."""
    chance = random.Random(5)
    matching = 0
    for _ in range(4000):
        messages = _any_messages(chance)
        if not has_matching_ids(messages, across_turns=across_turns):
            continue
        matching += 1
        assert assign_ids(messages, across_turns=across_turns) is messages, messages
    assert 500 < matching < 3500


@pytest.mark.parametrize(
    "messages",
    [
        [calls(("a", "Rome"), ("a", "Oslo"))],
        [calls((None, "Rome"))],
        [calls(("", "Rome"))],
        [calls((5, "Rome"))],
        [calls(("a", "Rome")), result("b", "hot")],
        [calls(("a", "Rome")), result(None, "hot")],
        [result("a", "hot"), calls(("a", "Rome"))],
        [{"role": "assistant", "tool_calls": (*calls(("a", "Rome"), ("a", "Oslo"))["tool_calls"],)}],
        [MappingProxyType(calls(("a", "Rome"), ("a", "Oslo")))],
        [{"role": "assistant", "tool_calls": [MappingProxyType({"id": "a"}), MappingProxyType({"id": "a"})]}],
    ],
    ids=range(10),
)
def test_ids_that_do_not_match_are_assigned(messages: list[Any]) -> None:
    """Each reason for it."""
    assert not has_matching_ids(messages, across_turns=False)


def test_ids_of_another_turn_match_unless_they_must_be_unique() -> None:
    """In the whole conversation, or within each message."""
    turn = [calls(("a", "Rome")), result("a", "hot")]

    assert has_matching_ids([*turn, *turn], across_turns=False)
    assert not has_matching_ids([*turn, *turn], across_turns=True)
