"""Requests of OpenAI's Responses API: parameters in the shape of chat completions become its fields and items."""

from typing import Any

import pytest

from mdstream_core import OpenAIResponses
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

USER = {"role": "user", "content": "weather?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "It", "parameters": SCHEMA, "strict": True}


def build(*, stream: bool = False, **params: Any) -> Json:
    return OpenAIResponses().build_payload({"model": "m", "messages": [USER], **params}, stream=stream)


def items(*messages: Json, **params: Any) -> list[Json]:
    found: list[Json] = build(messages=list(messages), **params)["input"]
    return found


def called(*arguments: str, **fields: Any) -> Json:
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": "weather", "arguments": text}}
        for at, text in enumerate(arguments, 1)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls, **fields}


#: name: (parameters, the fields of the request)
PARAMETERS: dict[str, tuple[Json, Json]] = {
    "max_tokens": ({"max_tokens": 5}, {"max_output_tokens": 5}),
    "max_completion_tokens": ({"max_completion_tokens": 5}, {"max_output_tokens": 5}),
    "reasoning_effort": ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
    "both of reasoning": (
        {"reasoning": {"summary": "auto"}, "reasoning_effort": "low"},
        {"reasoning": {"summary": "auto", "effort": "low"}},
    ),
    "verbosity and a format": (
        {"verbosity": "low", "response_format": {"type": "json_object"}},
        {"text": {"verbosity": "low", "format": {"type": "json_object"}}},
    ),
    "a schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "A", "schema": SCHEMA, "strict": True}}},
        {"text": {"format": {"type": "json_schema", "name": "A", "schema": SCHEMA, "strict": True}}},
    ),
    "logprobs": (
        {"logprobs": True, "top_logprobs": 2, "include": ["reasoning.encrypted_content"]},
        {"include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "top_logprobs": 2},
    ),
    "no logprobs": ({"logprobs": False, "n": 1}, {}),
    "a chat completion's function": (
        {"tools": [{"type": "function", "function": FUNCTION}]},
        {"tools": [{"type": "function", **FUNCTION}]},
    ),
    "this API's function": (
        {"tools": [{"type": "function", **FUNCTION}]},
        {"tools": [{"type": "function", **FUNCTION}]},
    ),
    "MCP's function": (
        {"tools": [{"name": "ping", "inputSchema": SCHEMA}]},
        {"tools": [{"type": "function", "name": "ping", "parameters": SCHEMA}]},
    ),
    "tools of the service": (
        {"tools": [{"type": "web_search"}, {"type": "mcp", "server_label": "a"}, {"type": "custom", "name": "shell"}]},
        {"tools": [{"type": "web_search"}, {"type": "mcp", "server_label": "a"}, {"type": "custom", "name": "shell"}]},
    ),
    "a forced function": (
        {"tool_choice": {"type": "function", "function": {"name": "weather"}}, "parallel_tool_calls": False},
        {"tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": False},
    ),
    "a forced tool of the service": (
        {"tool_choice": {"type": "file_search"}},
        {"tool_choice": {"type": "file_search"}},
    ),
    "any tool": ({"tool_choice": "any"}, {"tool_choice": "required"}),
    "what only this API has": (
        {"store": False, "previous_response_id": "resp_1", "truncation": "auto", "prompt": {"id": "p"}, "stop": ["a"]},
        {"store": False, "previous_response_id": "resp_1", "truncation": "auto", "prompt": {"id": "p"}, "stop": ["a"]},
    ),
    "stream options": ({"stream_options": {"include_usage": True}}, {}),
    "stream options of this API": (
        {"stream_options": {"include_usage": False, "include_obfuscation": False}},
        {"stream_options": {"include_obfuscation": False}},
    ),
}


@pytest.mark.parametrize(("params", "fields"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameters_become_fields(params: Json, fields: Json) -> None:
    """Those of other names are passed through."""
    sent = [{"type": "message", "role": "user", "content": "weather?"}]
    assert build(**params) == {"model": "m", "input": sent, **fields}
    assert build(**params, stream=True) == {"model": "m", "input": sent, **fields, "stream": True}


def test_what_the_api_cannot_do_is_an_error() -> None:
    """A response in the background is not complete when the request ends; streamed, its end is known."""
    with pytest.raises(InvalidRequest, match="n=2"):
        build(n=2)
    with pytest.raises(InvalidRequest, match="background=True"):
        build(background=True)
    assert build(background=True, stream=True)["background"] is True


def test_a_reasoning_model_gets_no_temperature() -> None:
    """With a warning, as for chat completions."""
    with pytest.warns(RuntimeWarning, match="temperature"):
        assert "temperature" not in build(model="openai.gpt-5", temperature=0.5)


#: name: (a content part in any form, the part that is sent)
PARTS: dict[str, tuple[Any, Json]] = {
    "text": ({"type": "text", "text": "Hi"}, {"type": "input_text", "text": "Hi"}),
    "a string": ("Hi", {"type": "input_text", "text": "Hi"}),
    "an image": (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"}},
        {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"},
    ),
    "a file": (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
    ),
    "a file of the service": (
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_file", "file_id": "file-1"},
    ),
    "a document by URL": (
        {"type": "document_url", "document_url": {"url": "https://a/b.pdf"}},
        {"type": "input_file", "file_url": "https://a/b.pdf"},
    ),
    "audio": (
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
    ),
    "a part of this API": ({"type": "input_text", "text": "Hi"}, {"type": "input_text", "text": "Hi"}),
}


@pytest.mark.parametrize(("part", "sent"), PARTS.values(), ids=PARTS)
def test_content_parts(part: Any, sent: Json) -> None:
    """In messages of the user, of the system, and in results of tools."""
    assert items({"role": "user", "content": [part]}) == [{"type": "message", "role": "user", "content": [sent]}]
    assert items({"role": "developer", "content": [part]})[0]["content"] == [sent]
    result = {"role": "tool", "tool_call_id": "call_1", "content": [part]}
    assert items(called("{}"), result)[1] == {"type": "function_call_output", "call_id": "call_1", "output": [sent]}


def test_unsupported_parts_and_roles_are_errors() -> None:
    """They are named."""
    with pytest.raises(InvalidRequest, match="'video_url'"):
        items({"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://a/b"}}]})
    with pytest.raises(InvalidRequest, match="role 'critic'"):
        items({"role": "critic", "content": "Hm"})


def test_an_approval_is_an_item_of_its_own() -> None:
    """Not a part of the user's message."""
    approval = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    assert items({"role": "user", "content": [approval]}) == [approval]


def test_a_conversation_of_another_service_is_sent_as_items() -> None:
    """Text, calls with their results; reasoning only where it is to be sent."""
    assistant = called('{"city": "Rome"}', '{"city": "Oslo"}', content="Wait.")
    results = [
        {"role": "tool", "tool_call_id": id, "content": text} for id, text in (("call_1", "hot"), ("call_2", ""))
    ]
    assert items({"role": "system", "content": "Be brief."}, USER, assistant, *results) == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {"type": "message", "role": "user", "content": "weather?"},
        {"type": "message", "role": "assistant", "content": "Wait."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Rome"}'},
        {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": '{"city": "Oslo"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "hot"},
        {"type": "function_call_output", "call_id": "call_2", "output": ""},
    ]
    (thought, _) = items({**assistant, "tool_calls": [], "reasoning_content": "Hm."})
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm."}]


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None}
ENCRYPTED = {**REASONING, "id": "rs_2", "encrypted_content": "gAAA"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
IMAGE = {"type": "image_generation_call", "id": "ig_1", "result": "QQ=="}
NOTE = {"type": "url_citation", "url": "https://a"}
TEXT = {
    "type": "message",
    "id": "msg_1",
    "status": "completed",
    "content": [{"type": "output_text", "annotations": [NOTE]}],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "status": "completed"}
KNOWN = called('{"city": "Rome"}', content="Hi", output_items=[REASONING, ENCRYPTED, SEARCH, IMAGE, TEXT, CALL])
ARGUMENTS = {"arguments": '{"city": "Rome"}'}
OUTPUT = {"type": "output_text", "text": "Hi", "annotations": [NOTE]}


def test_the_items_of_a_response_are_sent_back() -> None:
    """With their ids, in their order; text and arguments are those of the message."""
    assert items(USER, KNOWN)[1:] == [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        ENCRYPTED,
        SEARCH,
        {"type": "image_generation_call", "id": "ig_1"},
        {**TEXT, "role": "assistant", "content": [OUTPUT]},
        {**CALL, **ARGUMENTS},
    ]


def test_a_service_that_stores_nothing_gets_no_ids() -> None:
    """And of reasoning only what it can read: it knows no ids."""
    sent = items(USER, KNOWN, store=False)[1:]

    assert sent == [
        ENCRYPTED,
        SEARCH,
        IMAGE,
        {"type": "message", "status": "completed", "role": "assistant", "content": [OUTPUT]},
        {key: value for key, value in {**CALL, **ARGUMENTS}.items() if key != "id"},
    ]


def test_what_the_user_has_changed_in_a_message_is_what_is_sent() -> None:
    """A text that was redacted, calls that were removed, changed or added."""
    two = [
        {**TEXT, "content": [{"type": "output_text", "text": "my "}]},
        {**TEXT, "content": [{"type": "output_text", "text": "key"}]},
    ]
    redacted = {"role": "assistant", "content": "[redacted]", "output_items": [*two, CALL]}
    assert items(redacted) == [{"type": "message", "role": "assistant", "content": "[redacted]"}]
    assert items({**KNOWN, "content": "[redacted]"})[4]["content"][0]["text"] == "[redacted]"

    changed = called('{"city": "Oslo"}', "{}", output_items=[CALL])
    first, second = items(changed)
    assert first == {**CALL, "arguments": '{"city": "Oslo"}'}
    assert second == {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": "{}"}


def test_the_result_of_a_custom_tool_has_its_own_type() -> None:
    """The item of the call decides."""
    item = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", "name": "shell", "input": "ls"}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"}
    assert items(called('{"__arg1": "ls"}', output_items=[item]), result) == [
        item,
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a.txt"},
    ]


def test_a_prompt_is_the_input() -> None:
    """Of a completion."""
    assert OpenAIResponses().build_payload({"prompt": "Hi"}, stream=False) == {"input": "Hi"}
