"""Reasoning of earlier responses: the models that receive it, the name of the field, and error responses about it."""

import json
from typing import Any

import pytest

from mdstream_core import ReasoningHistory, dialect
from mdstream_core.dialects import ReasoningRule
from mdstream_core.dialects._reasoning_history import default_send_reasoning
from mdstream_core.errors import (
    AuthenticationError,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServerError,
    StreamFailure,
)

Json = dict[str, Any]

CALL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
ASSISTANT = {"role": "assistant", "content": "5", "reasoning_content": "Five."}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "I add."}
RESULT = {"role": "tool", "tool_call_id": "t1", "content": "5"}
USER = {"role": "user", "content": "2+3?"}

#: user, call, result, response; user, response; user, call, result
HISTORY: list[Json] = [USER, CALLING, RESULT, ASSISTANT, USER, ASSISTANT, USER, CALLING, RESULT]

MODES: dict[str, list[int]] = {"never": [], "tool_turns": [7], "always": [1, 3, 5, 7]}

FAMILIES = {
    "always": [
        *("DeepSeek-V3.2", "deepseek-ai/DeepSeek-V3.2-Exp", "deepseek-v3-2", "deepseek-v4-pro", "DeepSeek-V4.1-Flash"),
        *("moonshotai/Kimi-K2-Thinking", "kimi-k2-thinking-turbo", "kimi-k2.5", "Kimi-K2.6", "kimi-k3"),
    ],
    "tool_turns": ["zai-org/GLM-4.5-Air", "glm-4.6", "GLM-5", "MiniMaxAI/MiniMax-M2", "minimax-m2.5", "openai/gpt-oss-20b"],
    "never": [
        *("", "odsc-llm", "deepseek-ai/DeepSeek-R1", "DeepSeek-V3", "deepseek-v3.1", "deepseek-v3-250324"),
        *("kimi-k2-0905-preview", "glm-4-9b-chat", "Qwen/Qwen3-32B", "openai.gpt-oss-120b", "xai.grok-4", "MiniMax-M1"),
    ],
}  # fmt: skip


def body_of(messages: list[Json], mode: Any, name: str = "openai-chat", **params: Any) -> list[Json]:
    requested = {"messages": messages, **params}
    sent: list[Json] = ReasoningHistory(dialect(name), mode).build_payload(requested, stream=False)["messages"]
    return sent


@pytest.mark.parametrize(("mode", "platforms"), MODES.items(), ids=MODES)
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("openai-chat", {"reasoning_content", "reasoning"}),
        ("auto", {"reasoning_content", "reasoning"}),
        ("oci-generic", {"reasoningContent"}),
        ("oci-generic-openai", {"reasoningContent"}),
    ],
)
def test_reasoning_is_sent_by_mode(mode: Any, platforms: list[int], name: str, fields: set[str]) -> None:
    """
    Under both names in the OpenAI shape, under its own in OCI's; the request is left alone.
    """
    before = json.dumps(HISTORY)
    sent = body_of(HISTORY, mode, name)
    every = {"reasoning_content", "reasoning", "reasoningContent"}
    found = {at: every & message.keys() for at, message in enumerate(sent) if every & message.keys()}

    assert dict.fromkeys(platforms, fields) == found
    assert before == json.dumps(HISTORY)


def test_cohere_v2_sends_reasoning_as_a_part() -> None:
    """The first format has no field for it."""
    sent = body_of([USER, ASSISTANT], "always", "oci-cohere-v2")
    first = ReasoningHistory(dialect("oci-cohere"), "always").build_payload(
        {"messages": [USER, ASSISTANT, USER]}, stream=False
    )

    assert [{"type": "THINKING", "thinking": "Five."}, {"type": "TEXT", "text": "5"}] == sent[1]["content"]
    assert "Five." not in json.dumps(first)


@pytest.mark.parametrize(("model", "mode"), [(model, mode) for mode, models in FAMILIES.items() for model in models])
def test_known_families_have_a_default_mode(model: str, mode: str) -> None:
    """By the model name, if no mode is set."""
    assert mode == default_send_reasoning(model)
    found = [at for at, one in enumerate(body_of(HISTORY, None, model=model)) if "reasoning" in one]
    assert MODES[mode] == found


def test_images_of_a_tool_do_not_start_a_turn() -> None:
    """They are in a user message after the result."""
    shown = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}

    assert "I add." == body_of([USER, CALLING, RESULT, shown], "tool_turns")[1]["reasoning_content"]


def refusal(words: str, status: int = 400, raw: str = "") -> InvalidRequest:
    return InvalidRequest(words, status=status, raw=raw or json.dumps({"error": {"message": words}}))


DEMANDS = {
    "DeepSeek": "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "DeepSeek V3.2": "Missing `reasoning_content` field in the assistant message at message index 2",
    "Kimi": "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
    "the other name": "assistant message 1 must include reasoning when thinking is enabled",
    "required": "reasoning_content is required for tool turns",
    "wrapped": "Unsupported request: The reasoning_content in the thinking mode must be passed back to the API.",
    "Pydantic": '{"detail":[{"type":"missing","loc":["body","messages",1,"assistant","reasoning_content"]}]}',
    "Pydantic, the other name": '{"detail":[{"type":"missing","loc":["body","messages",1,"assistant","reasoning"]}]}',
    "OCI": "reasoningContent is missing in assistant message",
    "OCI, in other words": "messages[2]: an assistant message must have reasoningContent",
    "the other name, missing": "missing reasoning in assistant message 2",
    "the other name, by its place": "messages[2].reasoning is required",
}

REFUSALS: dict[str, tuple[str, set[str]]] = {
    "MistralParser": (
        (
            '{"detail":[{"type":"extra_forbidden","loc":["body","messages",2,"assistant","reasoning_content"],'
            '"msg":"Extra inputs are not permitted","input":"my reasoning"}]}'
        ),
        {"reasoning_content"},
    ),
    "Fireworks": ("Extra inputs are not permitted, field: 'messages[2].reasoning', value: 'Hm.'", {"reasoning"}),
    "with the value": (
        "Extra inputs are not permitted, field: 'messages[2].reasoning', value: 'It must be 5.'",
        {"reasoning"},
    ),
    "in words": ("reasoning_content is not supported in messages", {"reasoning_content"}),
    "by its place": ("messages.1.reasoning: Extra inputs are not permitted", {"reasoning"}),
    "OCI": ('Unrecognized field "reasoningContent" (not supported)', {"reasoning_content"}),
    "both": ("Unrecognized fields in messages: `reasoning_content`, `reasoning`", {"reasoning_content", "reasoning"}),
}

OTHERS: list[MDStreamError] = [
    refusal("temperature is not supported"),
    refusal("Missing `messages`"),
    refusal("reasoning_effort is required"),
    refusal("This model requires reasoning to be enabled"),
    refusal("reasoning is required to be enabled for this model: set reasoning.effort"),
    refusal("Missing required parameter: 'reasoning.effort'"),
    refusal("reasoning must be enabled for a message with tools"),
    refusal("reasoning must be set"),
    refusal('{"detail":[{"type":"missing","loc":["body","reasoning"]}]}'),
    AuthenticationError("reasoning_content is missing in assistant message 2", status=401),
    refusal("Unsupported value: 'reasoning_effort' does not support 'minimal'"),
    refusal("bad", raw='{"detail":[{"type":"missing","loc":["body"],"input":{"role":"assistant","reasoning_content":"x"}}]}'),
    ContextOverflow("the prompt is too long; reasoning_content must be shorter", status=400),
    ServerError("reasoning_content must be passed back", status=500),
]  # fmt: skip


@pytest.mark.parametrize("words", DEMANDS.values(), ids=DEMANDS)
@pytest.mark.parametrize("mode", [None, "tool_turns", "always"])
def test_a_server_that_requires_reasoning_receives_all_of_it(words: str, mode: Any) -> None:
    """Messages without reasoning get a placeholder. The next request to the model has it from the start."""
    learned: dict[str, ReasoningRule] = {}
    params = {"model": "m", "messages": [USER, {"role": "assistant", "content": "Hi"}, *HISTORY]}
    dialect_name = ReasoningHistory(dialect("openai-chat"), mode, learned)
    body = dialect_name.build_payload(params, stream=True)
    again = dialect_name.relax_payload(body, refusal(words))
    assert again is not None
    texts = [one.get("reasoning_content") for one in again["messages"] if one["role"] == "assistant"]

    assert [" ", "I add.", "Five.", "Five.", "I add."] == texts
    assert {**body, "messages": again["messages"]} == again
    assert again == ReasoningHistory(dialect("openai-chat"), mode, learned).build_payload(params, stream=True)
    other = ReasoningHistory(dialect("openai-chat"), "never", learned).build_payload(
        {**params, "model": "n"}, stream=True
    )
    assert "reasoning_content" not in json.dumps(other)
    assert dialect_name.relax_payload(again, refusal(words)) is None
    assert not learned


def wrapped(kind: type[MDStreamError], status: int | None, **body: Any) -> MDStreamError:
    return kind(DEMANDS["DeepSeek"], status=status, raw=json.dumps({"message": DEMANDS["DeepSeek"], **body}))


#: A refusal inside of another error.
WRAPPED = {
    "DJL": wrapped(ServerError, 424, code=424),
    "SageMaker": wrapped(ServerError, 424, ErrorCode="CLIENT_ERROR_FROM_MODEL", OriginalStatusCode=424),
    "an HTTP 500": wrapped(ServerError, 500, code=400),
    "an HTTP 500, its code as text": wrapped(ServerError, 500, error={"code": "400", "type": "BadRequestError"}),
    "an HTTP 502": wrapped(ServerError, 502, status_code=422),
    "an event of a stream": wrapped(StreamFailure, 400),
}


@pytest.mark.parametrize("error", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("name", ["openai-chat", "auto", "oci-generic"])
def test_a_requirement_inside_of_another_error_is_recognized(name: str, error: MDStreamError) -> None:
    """
    Containers and streams wrap the words of the model server.
    """
    dialect_name = ReasoningHistory(dialect(name), None)
    again = dialect_name.relax_payload(
        dialect_name.build_payload({"model": "m", "messages": HISTORY}, stream=True), error
    )

    assert again is not None
    assert "Five." in json.dumps(again["messages"])


@pytest.mark.parametrize(("words", "names"), REFUSALS.values(), ids=REFUSALS)
def test_a_rejected_field_is_not_sent(words: str, names: set[str]) -> None:
    """With a warning, and it is remembered."""
    learned: dict[str, ReasoningRule] = {}
    dialect_name = ReasoningHistory(dialect("openai-chat"), "always", learned)
    body = dialect_name.build_payload({"model": "m", "messages": HISTORY}, stream=False)
    with pytest.warns(RuntimeWarning, match="rejects"):
        again = dialect_name.relax_payload(body, refusal(words, 422))

    assert again is not None
    assert {"reasoning_content", "reasoning"} - names == {"reasoning_content", "reasoning"} & again["messages"][
        1
    ].keys()
    assert names == learned["m"].rejected_fields
    assert dialect_name.relax_payload(again, refusal(words, 422)) is None


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_change_nothing(error: MDStreamError) -> None:
    """They are passed to the inner dialect."""
    dialect_name = ReasoningHistory(dialect("openai-chat"), None)
    body = dialect_name.build_payload({"model": "m", "messages": HISTORY}, stream=True)

    assert dialect_name.relax_payload(body, error) is None
    with_options = dialect_name.relax_payload(body, refusal("stream_options is not supported"))
    assert {name: value for name, value in body.items() if name != "stream_options"} == with_options


def test_never_disables_reasoning() -> None:
    """
    Also for a server that demands it.
    """
    dialect_name = ReasoningHistory(dialect("openai-chat"), "never")
    body = dialect_name.build_payload({"model": "deepseek-v4", "messages": HISTORY}, stream=False)

    assert dialect_name.relax_payload(body, refusal(DEMANDS["DeepSeek"])) is None
