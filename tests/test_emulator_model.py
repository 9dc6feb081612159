"""The built-in model: its texts, its tool calls, its structured output."""

import json
from typing import Any

import pytest

from mdstream_core.emulator.model import ModelOutput, apply_limits, respond, split_tokens

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TWO = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}


def tool(name: str, description: str = "", parameters: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters or {}}}


WEATHER = tool("get_weather", "Get the current weather in a city.", CITY)
ADD = tool("add", "Add two integers.", TWO)
MULTIPLY = tool("multiply", "Multiply two integers.", TWO)
STOP = tool("turn_off_lights", "Switch the lights off.")


def send_request(text: str, *tools: dict[str, Any], **params: Any) -> ModelOutput:
    return respond({"messages": [{"role": "user", "content": text}], "tools": list(tools), **params})


def calls(output: ModelOutput) -> list[tuple[str, Any]]:
    return [(call.name, json.loads("".join(call.arguments))) for call in output.tool_calls]


def fill_schema(text: str, properties: dict[str, Any], **schema: Any) -> Any:
    whole = {"type": "object", "properties": properties, "required": list(properties), **schema}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": whole}}
    return json.loads("".join(send_request(text, response_format=response_format).text))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Hello", "Hello! How can I help you today?"),
        ("Name three rivers.", "The Nile, the Amazon and the Danube."),
        ("List 2 planets", "Mercury and Venus."),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Count from 3 to 6", "3 4 5 6"),
        ("Count to 4", "1 2 3 4"),
        ("What is 3 + 4?", "3 + 4 is 7."),
        ("Say: naïve 你好 🙂", "naïve 你好 🙂"),
        ("Xyzzy", "You said: Xyzzy"),
        ("", "I am listening."),
    ],
)
def test_texts(prompt: str, expected: str) -> None:
    assert "".join(send_request(prompt).text) == expected


def test_the_output_is_deterministic() -> None:
    assert send_request("What is the weather in Paris?", WEATHER) == send_request(
        "What is the weather in Paris?", WEATHER
    )


@pytest.mark.parametrize(
    "text", ["", "a", "two  spaces", "naïve 你好 🙂‍↔️\n\n\ttabs", "supercalifragilistic", "\u2028\x85\ud83d"]
)
def test_joined_tokens_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


def test_a_name_from_an_earlier_message_is_used() -> None:
    earlier = [{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "Hi"}]
    output = respond({"messages": [*earlier, {"role": "user", "content": "What is my name?"}]})

    assert "".join(output.text) == "Your name is Ada."


@pytest.mark.parametrize(
    ("prompt", "expected_calls"),
    [
        ("What is the weather in San Francisco, CA?", [("get_weather", {"city": "San Francisco, CA"})]),
        ("Weather in 東京 please", [("get_weather", {"city": "東京"})]),
        (
            "What is the weather in Paris and London?",
            [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "London"})],
        ),
        ("What is 3 + 4?", [("add", {"a": 3, "b": 4})]),
        ("What is 12 times 7", [("multiply", {"a": 12, "b": 7})]),
        (
            "What's the weather in Oslo, and what is 3 * 4?",
            [("get_weather", {"city": "Oslo"}), ("multiply", {"a": 3, "b": 4})],
        ),
        ("Please call multiply(6, b=7)", [("multiply", {"a": 6, "b": 7})]),
        ("Turn off the lights", [("turn_off_lights", {})]),
        ("Hello there", []),
        ("Name three rivers.", []),
    ],
)
def test_tools_are_chosen(prompt: str, expected_calls: list[Any]) -> None:
    assert calls(send_request(prompt, WEATHER, ADD, MULTIPLY, STOP)) == expected_calls


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("required", ["get_weather"]),
        ("any", ["get_weather"]),
        ({"type": "function", "function": {"name": "add"}}, ["add"]),
        ({"type": "any"}, ["get_weather"]),
    ],
)
def test_tool_choice_is_followed(choice: Any, names: list[str]) -> None:
    prompt = "What is the weather in Paris?"

    assert [name for name, _ in calls(send_request(prompt, WEATHER, ADD, tool_choice=choice))] == names


def test_a_forced_tool_has_all_its_arguments() -> None:
    assert set(calls(send_request("Hello!", ADD, tool_choice="required"))[0][1]) == {"a", "b"}


def test_sequential_calls_until_all_results_are_there() -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "What is the weather in Paris and London?"}]
    cities = []
    while tool_calls := respond({"messages": messages, "tools": [WEATHER], "parallel_tool_calls": False}).tool_calls:
        (call,) = tool_calls
        arguments = "".join(call.arguments)
        cities.append(json.loads(arguments)["city"])
        function = {"name": call.name, "arguments": arguments}
        messages.append(
            {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]}
        )
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"sunny in {cities[-1]}"})
    output = respond({"messages": messages, "tools": [WEATHER]})

    assert cities == ["Paris", "London"]
    assert "".join(output.text) == "The tool says: sunny in Paris; sunny in London"


def test_a_schema_is_filled_from_the_text() -> None:
    properties = {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "city": {"type": "string"},
        "email": {"type": "string", "format": "email"},
        "birthday": {"type": "string", "format": "date"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "nickname": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    text = (
        "Alice Smith is 30 years old, lives in Paris, was born on 1996-02-29, writes to a@b.org and likes fahrenheit."
    )

    assert fill_schema(text, properties) == {
        "name": "Alice Smith",
        "age": 30,
        "city": "Paris",
        "email": "a@b.org",
        "birthday": "1996-02-29",
        "unit": "fahrenheit",
        "nickname": None,
    }


def test_a_schema_is_filled_without_values_in_the_text() -> None:
    properties = {
        "title": {"type": "string"},
        "count": {"type": "integer", "minimum": 10, "maximum": 12},
        "ratio": {"type": "number", "exclusiveMaximum": 0.2},
        "done": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        "owner": {"$ref": "#/$defs/Owner"},
        "kind": {"const": "note"},
        "when": {"type": "string", "format": "date-time"},
    }
    owner = {"type": "object", "properties": {"id": {"type": "integer", "default": 1}}, "required": ["id"]}
    value = fill_schema("Go", properties, **{"$defs": {"Owner": owner}})

    assert 10 <= value["count"] <= 12
    assert value["ratio"] < 0.2
    assert len(value["tags"]) == 2
    assert value["owner"] == {"id": 1}
    assert value["kind"] == "note"
    assert value["when"].endswith("Z")


def test_a_recursive_schema_is_filled() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}

    assert "next" in fill_schema("Go", {"node": {"$ref": "#/$defs/Node"}}, **{"$defs": {"Node": node}})["node"]


@pytest.mark.parametrize(
    "params",
    [
        {"response_format": {"type": "json_object"}},
        {"guided_json": CITY},
        {"guided_json": json.dumps(CITY)},
        {"structured_outputs": {"json": CITY}},
    ],
)
def test_json_output_is_requested_in_several_forms(params: dict[str, Any]) -> None:
    output = send_request("Give me JSON with the key 'city': Rome", **params)

    assert set(json.loads("".join(output.text))) == {"city"}


def test_a_schema_in_the_prompt_is_followed() -> None:
    text = f"Where does Ada live in London? The output should be a JSON instance that conforms to this schema: {json.dumps(CITY)}"

    assert json.loads("".join(send_request(text).text)) == {"city": "London"}


def test_the_output_is_one_of_the_allowed_choices() -> None:
    choices = {"choice": ["positive", "negative"]}

    assert "".join(send_request("I feel rather negative", structured_outputs=choices).text) == "negative"


def test_the_output_quotes_the_context() -> None:
    text = (
        "Context information is below.\n---------------------\nThe Danube is long. Bees make honey.\n---------------------\n"
        "Given the context information and not prior knowledge, answer the query.\nQuery: Who makes honey?\nAnswer: "
    )

    assert "".join(send_request(text).text) == "Bees make honey."


@pytest.mark.parametrize(
    ("params", "has_reasoning"),
    [
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"chat_template_kwargs": {"enable_thinking": True}}, True),
        ({"model": "think", "chat_template_kwargs": {"enable_thinking": False}}, False),
        ({"model": "qwen3-thinking"}, True),
        ({}, False),
    ],
)
def test_reasoning_is_generated_when_requested(params: dict[str, Any], has_reasoning: bool) -> None:
    assert bool(send_request("Hello", **params).reasoning) is has_reasoning


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_attachments_are_listed(kind: str) -> None:
    content = [{"type": "text", "text": "Look"}, {"type": kind, kind: {}}]
    expected = "".join(respond({"messages": [{"role": "user", "content": content}]}).text)

    assert expected.startswith("I see a")
    assert expected.endswith("Look")


@pytest.mark.parametrize(
    ("stop", "text"), [("you", "Hello! How can I help "), (["today", "help"], "Hello! How can I ")]
)
def test_stop_sequences_are_not_part_of_the_text(stop: Any, text: str) -> None:
    output = apply_limits(send_request("Hello"), {"stop": stop})

    assert ("".join(output.text), output.finish) == (text, "stop")
    assert output.stop_reason in stop


@pytest.mark.parametrize("space", range(1, 12))
def test_a_tool_call_is_truncated_at_max_tokens(space: int) -> None:
    whole = send_request("What is 3 + 4?", ADD)
    truncated = apply_limits(whole, {"max_tokens": space})

    assert truncated.token_count <= space
    assert truncated.finish == "length"
    assert [call.name for call in truncated.tool_calls] == ["add"][: space // 4]


def test_a_sufficient_limit_changes_nothing() -> None:
    whole = send_request("Hello")

    assert apply_limits(whole, {"max_completion_tokens": whole.token_count}) == whole
