"""Questions in the OpenAI shape, written in the formats of OCI Generative AI."""

import json
from typing import Any

import pytest
from _oci_genai import WEATHER

from mdstream_core.dialects import dialect
from mdstream_core.errors import InvalidRequest

GENERIC, COHERE, V2 = "oci-generic", "oci-cohere", "oci-cohere-v2"
USER = {"role": "user", "content": "Hello"}
DATA = "data:image/png;base64,AAAA"


def requested(name: str, *, stream: bool = False, **params: Any) -> dict[str, Any]:
    body = dialect(name).build_payload({"messages": [USER], **params}, stream=stream)
    return {key: value for key, value in body.items() if key not in {"apiFormat", "messages", "message", "chatHistory"}}


#: name: (a field of the request, the fields of the GENERIC request, of COHERE, of COHEREV2)
FIELDS: dict[str, tuple[dict[str, Any], Any, Any, Any]] = {
    "numbers": (
        {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 7, "frequency_penalty": 0.1, "presence_penalty": 0.2},
        *[{"temperature": 0.5, "topP": 0.9, "topK": 3, "seed": 7, "frequencyPenalty": 0.1, "presencePenalty": 0.2}] * 3,
    ),
    "max_tokens": ({"max_tokens": 5}, *[{"maxTokens": 5}] * 3),
    "max_completion_tokens": ({"max_completion_tokens": 5}, {"maxCompletionTokens": 5}, {"maxTokens": 5}, {"maxTokens": 5}),
    "one stop": ({"stop": "END"}, {"stop": ["END"]}, {"stopSequences": ["END"]}, {"stopSequences": ["END"]}),
    "stops": ({"stop": ["A", "B"]}, {"stop": ["A", "B"]}, {"stopSequences": ["A", "B"]}, {"stopSequences": ["A", "B"]}),
    "null is left out": ({"temperature": None, "stop": None}, {}, {}, {}),
    "one answer": ({"n": 1}, {"numGenerations": 1}, {}, {}),
    "logprobs": ({"logprobs": True}, {"logProbs": 1}, None, {"isLogProbsEnabled": True}),
    "top_logprobs": ({"logprobs": True, "top_logprobs": 3}, {"logProbs": 3}, None, None),
    "no logprobs": ({"logprobs": False}, {}, {}, {}),
    "bias": ({"logit_bias": {"1": 2}}, {"logitBias": {"1": 2}}, None, None),
    "effort": ({"reasoning_effort": "low"}, {"reasoningEffort": "LOW"}, {"reasoningEffort": "low"}, {"thinking": {"type": "ENABLED"}}),
    "no effort": ({"reasoning_effort": "none"}, {"reasoningEffort": "NONE"}, {"reasoningEffort": "none"}, {"thinking": {"type": "DISABLED"}}),
    "native names": ({"isEcho": True, "documents": [{"text": "x"}]}, *[{"isEcho": True, "documents": [{"text": "x"}]}] * 3),
    "the model stays for the envelope": ({"model": "xai.grok-4"}, *[{"model": "xai.grok-4"}] * 3),
    "parallel": ({"parallel_tool_calls": True}, {"isParallelToolCalls": True}, {}, {}),
    "several answers": ({"n": 2}, {"numGenerations": 2}, None, None),
    "text": ({"response_format": {"type": "text"}}, *[{"responseFormat": {"type": "TEXT"}}] * 3),
    "object": ({"response_format": {"type": "json_object"}}, *[{"responseFormat": {"type": "JSON_OBJECT"}}] * 3),
    "schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "A", "schema": {"type": "object"}, "strict": True}}},
        {"responseFormat": {"type": "JSON_SCHEMA", "jsonSchema": {"name": "A", "schema": {"type": "object"}, "isStrict": True}}},
        *[{"responseFormat": {"type": "JSON_OBJECT", "schema": {"type": "object"}}}] * 2,
    ),
    "what GPT takes": (
        {"verbosity": "low", "service_tier": "auto", "metadata": {"a": "b"}, "prediction": {"type": "content", "content": "x"}},
        {
            "verbosity": "LOW", "serviceTier": "AUTO", "metadata": {"a": "b"},
            "prediction": {"type": "CONTENT", "content": [{"type": "TEXT", "text": "x"}]},
        },
        ..., ...,
    ),
}  # fmt: skip


@pytest.mark.parametrize("at", range(3), ids=["GENERIC", "COHERE", "COHEREV2"])
@pytest.mark.parametrize(("params", "wanted"), [(row[0], row[1:]) for row in FIELDS.values()], ids=FIELDS)
def test_parameters_are_renamed(params: dict[str, Any], wanted: tuple[Any, ...], at: int) -> None:
    """Each parameter has the name of the format; one that would be lost raises before the request is sent."""
    name = (GENERIC, COHERE, V2)[at]
    match wanted[at]:
        case None:
            with pytest.raises(InvalidRequest, match="|".join(params)):
                requested(name, **params)
        case dict():
            assert wanted[at] == requested(name, **params)


@pytest.mark.parametrize("name", [GENERIC, COHERE, V2])
def test_a_stream_is_requested_with_its_usage(name: str) -> None:
    """Unless the request parameters disable it."""
    assert {"isStream": True, "streamOptions": {"isIncludeUsage": True}} == requested(name, stream=True)
    assert {"isStream": True, "streamOptions": {"isIncludeUsage": False}} == requested(name, stream=True, stream_options={"include_usage": False})  # fmt: skip
    assert {} == requested(name)


CALLS = [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}]
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "Weather"}, {"type": "text", "text": " in Paris?"}]},
    {"role": "assistant", "content": None, "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
]


def content(text: str) -> list[dict[str, str]]:
    return [{"type": "TEXT", "text": text}]


def test_messages_of_generic() -> None:
    """
    Typed parts, flat calls, and some text beside calls that came without any.
    """
    assert [
        {"role": "SYSTEM", "content": content("Be kind.")},
        {"role": "USER", "content": [*content("Weather"), *content(" in Paris?")]},
        {
            "role": "ASSISTANT", "content": content("."),
            "toolCalls": [{"id": "c1", "type": "FUNCTION", "name": "get_weather", "arguments": '{"city": "Paris"}'}],
        },
        {"role": "TOOL", "content": content("sunny"), "toolCallId": "c1"},
    ] == dialect(GENERIC).build_payload({"messages": CONVERSATION}, stream=False)["messages"]  # fmt: skip


def test_messages_of_cohere() -> None:
    """The last message is a tool result, which has its call beside it; everything before it is history."""
    call = {"name": "get_weather", "parameters": {"city": "Paris"}}
    body = dialect(COHERE).build_payload({"messages": CONVERSATION}, stream=False)

    assert {
        "apiFormat": "COHERE",
        "message": "",
        "chatHistory": [
            {"role": "SYSTEM", "message": "Be kind."},
            {"role": "USER", "message": "Weather in Paris?"},
            {"role": "CHATBOT", "message": ".", "toolCalls": [call]},
        ],
        "toolResults": [{"call": call, "outputs": [{"output": "sunny"}]}],
    } == body


def test_a_cohere_conversation_continues_after_tool_results() -> None:
    """Earlier results are entries of the history; the user's last message is `message`."""
    two = [CALLS[0], {"id": "c2", "type": "function", "function": {"name": "now", "arguments": ""}}]
    conversation = [
        *CONVERSATION[:2],
        {**CONVERSATION[2], "tool_calls": two},
        {"role": "tool", "tool_call_id": "c2", "content": '{"hour": 12}'},
        CONVERSATION[3],
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "Thanks"},
    ]
    body = dialect(COHERE).build_payload({"messages": conversation}, stream=False)

    assert "Thanks" == body["message"]
    assert [{"output": "{}"}] == dialect(COHERE).build_payload(
        {"messages": [*CONVERSATION[:3], {**CONVERSATION[3], "content": "{}"}]}, stream=False
    )["toolResults"][0]["outputs"]
    assert {
        "role": "TOOL",
        "toolResults": [
            {"call": {"name": "now", "parameters": {}}, "outputs": [{"hour": 12}]},
            {"call": {"name": "get_weather", "parameters": {"city": "Paris"}}, "outputs": [{"output": "sunny"}]},
        ],
    } == body["chatHistory"][3]
    assert {"role": "CHATBOT", "message": "Sunny."} == body["chatHistory"][4]
    assert "toolResults" not in body


def test_the_same_call_in_two_turns_keeps_its_own_arguments() -> None:
    """
    Cohere's calls have no ids of the service's own: a result belongs to the nearest call before it.
    """
    again = [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}]
    conversation = [
        *CONVERSATION,
        {"role": "user", "content": "And Rome?"},
        {"role": "assistant", "tool_calls": again},
        CONVERSATION[3],
    ]
    body = dialect(COHERE).build_payload({"messages": conversation}, stream=False)

    assert {"city": "Rome"} == body["toolResults"][0]["call"]["parameters"]
    assert {"city": "Paris"} == body["chatHistory"][3]["toolResults"][0]["call"]["parameters"]


def test_messages_of_cohere_v2() -> None:
    """
    Typed parts and calls with ids, as OpenAI has them.
    """
    assert [
        {"role": "SYSTEM", "content": content("Be kind.")},
        {"role": "USER", "content": [*content("Weather"), *content(" in Paris?")]},
        {
            "role": "ASSISTANT", "content": content("."),
            "toolCalls": [{"id": "c1", "type": "FUNCTION", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}],
        },
        {"role": "TOOL", "content": content("sunny"), "toolCallId": "c1"},
    ] == dialect(V2).build_payload({"messages": CONVERSATION}, stream=False)["messages"]  # fmt: skip


#: A part in OpenAI's shape, in GENERIC, in COHEREV2 (`None` where it cannot be sent).
PARTS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "image": (
        {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
        {"type": "IMAGE", "imageUrl": {"url": DATA, "detail": "LOW"}},
        {"type": "IMAGE_URL", "imageUrl": {"url": DATA, "detail": "LOW"}},
    ),
    "sound": (
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "AUDIO", "audioUrl": {"url": "data:audio/mp3;base64,AAAA"}},
        None,
    ),
    "film": ({"type": "video_url", "video_url": {"url": "u"}}, {"type": "VIDEO", "videoUrl": {"url": "u"}}, None),
    "file": ({"type": "file", "file": {"file_data": "u"}}, {"type": "DOCUMENT", "documentUrl": {"url": "u"}}, None),
    "unknown": ({"type": "smell"}, None, None),
}


@pytest.mark.parametrize("at", range(3), ids=["GENERIC", "COHEREV2", "COHERE"])
@pytest.mark.parametrize(("part", "wanted"), [(row[0], row[1:]) for row in PARTS.values()], ids=PARTS)
def test_parts_of_a_message(part: dict[str, Any], wanted: tuple[Any, Any], at: int) -> None:
    """
    Images, sounds and files where the format takes them; elsewhere the part is named instead of lost.
    """
    name, wanted_part = (GENERIC, V2, COHERE)[at], (*wanted, None)[at]
    params = {"messages": [{"role": "user", "content": [{"type": "text", "text": "See: "}, part]}]}
    if wanted_part is None:
        with pytest.raises(InvalidRequest, match=f"type '{part['type']}'"):
            dialect(name).build_payload(params, stream=False)
    else:
        assert [*content("See: "), wanted_part] == dialect(name).build_payload(params, stream=False)["messages"][0][
            "content"
        ]


@pytest.mark.parametrize("name", [GENERIC, COHERE, V2])
def test_an_unknown_role_is_named(name: str) -> None:
    """With the known ones; a developer message is a system message if the format has no developer role."""
    with pytest.raises(InvalidRequest, match=r"'king'.*assistant"):
        dialect(name).build_payload({"messages": [{"role": "king", "content": "Kneel."}, USER]}, stream=False)

    body = dialect(name).build_payload({"messages": [{"role": "developer", "content": "Be kind."}, USER]}, stream=False)
    assert ("DEVELOPER" if name == GENERIC else "SYSTEM") == (body.get("chatHistory") or body["messages"])[0]["role"]


PARAMETERS = WEATHER["function"]["parameters"]
DESCRIBED = {"name": "get_weather", "description": "Get the weather in a city."}


def test_tools() -> None:
    """
    Flat for GENERIC, with Python's types for COHERE, as they are for COHEREV2.
    """
    assert {"tools": [{"type": "FUNCTION", **DESCRIBED, "parameters": PARAMETERS}]} == requested(
        GENERIC, tools=[WEATHER]
    )
    assert {"tools": [{"type": "FUNCTION", "function": {**DESCRIBED, "parameters": PARAMETERS}}]} == requested(
        V2, tools=[WEATHER]
    )
    assert {
        "tools": [
            {**DESCRIBED, "parameterDefinitions": {"city": {"description": "city", "type": "str", "isRequired": True}}}
        ]
    } == requested(COHERE, tools=[WEATHER])


def test_keywords_without_a_python_type_are_in_the_description() -> None:
    """Enums, items and bounds of a parameter are not lost."""
    schema = {
        "type": "object",
        "properties": {
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C", "description": "The unit"},
            "days": {"type": "array", "items": {"type": "integer"}},
            "hour": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None, "title": "Hour"},
        },
    }
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    parameters = requested(COHERE, tools=[tool])["tools"][0]["parameterDefinitions"]

    assert {
        "description": 'The unit. JSON Schema: {"enum":["C","F"]}. Default: "C"',
        "type": "str",
        "isRequired": False,
    } == parameters["unit"]
    assert {
        "description": 'days. JSON Schema: {"items":{"type":"integer"}}',
        "type": "list",
        "isRequired": False,
    } == parameters["days"]
    assert {"description": "Hour", "type": "float", "isRequired": False} == parameters["hour"]


OTHER = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {}}}
NAMED = {"type": "function", "function": {"name": "now"}}

#: tool_choice: (GENERIC's, COHEREV2's, the names of the tools that Cohere's formats offer)
CHOICES: dict[str, tuple[Any, Any, Any, list[str], list[str]]] = {
    "auto": ("auto", {"type": "AUTO"}, None, ["get_weather", "now"], ["get_weather", "now"]),
    "none": ("none", {"type": "NONE"}, "NONE", ["get_weather", "now"], []),
    "required": ("required", {"type": "REQUIRED"}, "REQUIRED", ["get_weather", "now"], ["get_weather", "now"]),
    "any": ("any", {"type": "REQUIRED"}, "REQUIRED", ["get_weather", "now"], ["get_weather", "now"]),
    "named": (NAMED, {"type": "FUNCTION", "name": "now"}, "REQUIRED", ["now"], ["now"]),
}


@pytest.mark.filterwarnings("ignore:tool_choice")
@pytest.mark.parametrize(("choice", "generic", "v2", "offered", "v1"), CHOICES.values(), ids=CHOICES)
def test_tool_choice(choice: Any, generic: Any, v2: Any, offered: list[str], v1: list[str]) -> None:
    """In the terms of each format; a format without a tool choice receives only the tools to choose from."""
    params: dict[str, Any] = {"tools": [WEATHER, OTHER], "tool_choice": choice}

    assert generic == requested(GENERIC, **params)["toolChoice"]
    assert (v2, offered) == (requested(V2, **params).get("toolsChoice"), [tool["function"]["name"] for tool in requested(V2, **params)["tools"]])  # fmt: skip
    assert v1 == [tool["name"] for tool in requested(COHERE, **params).get("tools", [])]


@pytest.mark.parametrize(
    "params", [{"tool_choice": "required"}, {"tool_choice": NAMED}, {"parallel_tool_calls": False}]
)
def test_unsupported_options_of_cohere_emit_a_warning(params: dict[str, Any]) -> None:
    """The response may be right without them, so the request is sent."""
    with pytest.warns(RuntimeWarning, match=next(iter(params))):
        requested(COHERE, tools=[WEATHER, OTHER], **params)


def test_generate_text() -> None:
    """
    A prompt; the runtimes differ in the names of stop and likelihoods.
    """
    params = {
        "prompt": "Why",
        "max_tokens": 5,
        "stop": "END",
        "temperature": 0.1,
        "n": 2,
        "logprobs": 2,
        "model": "m",
    }
    same = {"prompt": "Why", "maxTokens": 5, "temperature": 0.1, "numGenerations": 2, "model": "m"}

    assert {
        "runtimeType": "COHERE", **same, "stopSequences": ["END"], "returnLikelihoods": "GENERATION", "isStream": True,
    } == dialect("oci-generate-text-cohere").build_payload(params, stream=True)  # fmt: skip
    assert {"runtimeType": "LLAMA", **same, "stop": ["END"], "logProbs": 2} == dialect("oci-generate-text-llama").build_payload(params, stream=False)  # fmt: skip


def test_generate_text_rejects_messages() -> None:
    """With a hint to the operation that accepts them."""
    with pytest.raises(InvalidRequest, match="/actions/chat"):
        dialect("oci-generate-text-llama").build_payload({"messages": [USER]}, stream=False)


def test_request_parameters_are_not_changed() -> None:
    """Building the payload twice gives the same result."""
    params = {"messages": CONVERSATION, "tools": [WEATHER], "model": "google.gemini", "stop": ["a"]}
    before = json.dumps(params)
    for name in (GENERIC, COHERE, V2):
        assert dialect(name).build_payload(params, stream=True) == dialect(name).build_payload(params, stream=True)
    assert before == json.dumps(params)
