"""What the families of OCI Generative AI do differently: names, schemas, rejected parameters."""

import json
import warnings
from typing import Any

import pytest

from mdstream_core.dialects import dialect, oci_dialect_name
from mdstream_core.dialects._oci_schema import flatten_nullable, resolve_references
from mdstream_core.errors import InvalidRequest, MDStreamError, ServerError

GENERIC = dialect("oci-generic")
USER = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("model", "name"),
    [("openai.gpt-5", "maxCompletionTokens"), ("openai.gpt-oss-120b", "maxCompletionTokens"), ("meta.llama-3.3-70b-instruct", "maxTokens"), ("google.gemini-2.5-pro", "maxTokens"), ("ocid1.generativeaiendpoint.oc1..x", "maxTokens")],
)  # fmt: skip
def test_the_token_limit_has_the_name_of_the_family(model: str, name: str) -> None:
    """OpenAI's models use another name."""
    assert 5 == GENERIC.build_payload({"messages": [USER], "model": model, "max_tokens": 5}, stream=False)[name]


#: model, api_format: the dialect
CHOSEN = {
    ("cohere.command-a-03-2025", None): "oci-cohere",
    ("cohere.command-a-vision", None): "oci-cohere-v2",
    ("cohere.command-a-reasoning", None): "oci-cohere-v2",
    ("meta.llama-3.3-70b-instruct", None): "oci-generic",
    ("ocid1.generativeaiendpoint.oc1..x", None): "oci-generic",
    ("ocid1.generativeaiendpoint.oc1..x", "cohere"): "oci-cohere",
    ("cohere.command-a-03-2025", "COHEREV2"): "oci-cohere-v2",
}


@pytest.mark.parametrize(("requested", "name"), CHOSEN.items(), ids=str)
def test_the_format_is_chosen_by_the_model_name(requested: tuple[str, str | None], name: str) -> None:
    """Unless a format is given; formats and dialects have the same names."""
    assert name == oci_dialect_name(*requested)
    assert name == dialect(name).name


def test_an_unknown_format_lists_the_known_ones() -> None:
    """The message names the field."""
    with pytest.raises(
        ValueError, match=r"api_format='COHERE3' is unknown.* .hint: use one of GENERIC, COHERE, COHEREV2"
    ):
        oci_dialect_name("x", "COHERE3")


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"$ref": "#/$defs/City", "description": "Where"},
        "hour": {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "null"}], "default": None},
        "exclusiveMinimum": {"type": "string"},
    },
    "$defs": {"City": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def tool(model: str) -> dict[str, Any]:
    described = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
    body = GENERIC.build_payload({"messages": [USER], "model": model, "tools": [described]}, stream=False)
    parameters: dict[str, Any] = body["tools"][0]["parameters"]["properties"]
    return parameters


def test_a_tool_schema_has_no_references() -> None:
    """Nor alternatives that are only null; keywords beside a reference stay."""
    parameters = tool("meta.llama-3.3-70b-instruct")

    assert {"type": "object", "properties": {"name": {"type": "string"}}, "description": "Where"} == parameters["city"]
    assert {"type": "integer", "exclusiveMinimum": 0} == parameters["hour"]


def test_google_receives_inclusive_bounds() -> None:
    """A property may have the name of such a keyword."""
    parameters = tool("google.gemini-2.5-pro")

    assert {"type": "integer", "minimum": 1} == parameters["hour"]
    assert {"type": "string"} == parameters["exclusiveMinimum"]


def test_a_recursive_schema_ends() -> None:
    """The second level accepts any value."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}

    assert {"type": "object", "properties": {"next": {"type": "object"}}} == resolve_references({"$ref": "#/$defs/Node", "$defs": {"Node": node}})  # fmt: skip


def test_a_response_schema_keeps_null() -> None:
    """There the model may return `null`; only parameters of tools do without."""
    schema = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    wanted = {"type": "json_schema", "json_schema": {"name": "A", "schema": schema}}
    body = GENERIC.build_payload({"messages": [USER], "response_format": wanted}, stream=False)

    assert schema == body["responseFormat"]["jsonSchema"]["schema"]
    assert {"anyOf": [{"type": "string"}, {"type": "integer"}]} == flatten_nullable(
        {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    )


def test_parallel_calls_are_split_for_google() -> None:
    """Each call of the history is a message of its own, followed by its own result."""
    calls = [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in "ab"]
    results = [{"role": "tool", "tool_call_id": id, "content": id} for id in "ba"]
    conversation = [USER, {"role": "assistant", "content": "I look.", "tool_calls": calls}, *results, USER]

    def order(model: str) -> list[Any]:
        messages = GENERIC.build_payload({"messages": conversation, "model": model}, stream=False)["messages"]
        return [
            message.get("toolCallId") or [call["id"] for call in message.get("toolCalls", ())] for message in messages
        ]

    assert [[], ["a"], "a", ["b"], "b", []] == order("google.gemini-2.5-pro")
    assert [[], ["a", "b"], "b", "a", []] == order("xai.grok-4")


def refused(param: str | None, message: str, code: str = "unsupported_value", *, double: bool = True) -> InvalidRequest:
    error = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    raw = {"code": "400", "message": json.dumps(error)} if double else error
    return InvalidRequest(f"400 {code}: {message}", code=code, status=400, raw=json.dumps(raw))


BODY = {"temperature": 0.2, "topP": 0.9, "maxTokens": 5, "stop": ["x"], "isParallelToolCalls": True}
ONLY = "'temperature' does not support 0.2 with this model."

#: name: (the refusal, the fields that change)
REFUSED: dict[str, tuple[MDStreamError, dict[str, Any] | None]] = {
    "temperature": (refused("temperature", ONLY), {"temperature": None}),
    "once encoded": (refused("temperature", ONLY, double=False), {"temperature": None}),
    "no parameter named": (refused(None, f"Unsupported value: {ONLY}"), {"temperature": None}),
    "plain words": (InvalidRequest("400: 'top_p' is not supported", raw="'top_p' is not supported"), {"topP": None}),
    "top_p": (refused("top_p", "no", "unsupported_parameter"), {"topP": None}),
    "parallel calls": (refused("parallel_tool_calls", "no", "unsupported_parameter"), {"isParallelToolCalls": None}),
    "max_tokens": (refused("max_tokens", "Use 'max_completion_tokens' instead.", "unsupported_parameter"), {"maxTokens": None, "maxCompletionTokens": 5}),
    "a limit": (refused("temperature", "must be at most 2", "invalid_value"), None),
    "a parameter that matters": (refused("stop", "no", "unsupported_parameter"), None),
    "a parameter that was not sent": (refused("seed", "no", "unsupported_parameter"), None),
    "something else": (InvalidRequest("400: Please pass in correct format of request."), None),
    "a failure": (ServerError("'temperature' unsupported"), None),
}  # fmt: skip


@pytest.mark.parametrize("name", ["oci-generic", "oci-cohere", "oci-cohere-v2", "oci-generate-text-llama"])
@pytest.mark.parametrize(("error", "changed"), REFUSED.values(), ids=REFUSED)
def test_a_rejected_parameter_is_dropped_with_a_warning(error: MDStreamError, changed: dict[str, Any] | None, name: str) -> None:  # fmt: skip
    """Only an optional parameter, or one that has another name."""
    if changed is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert dialect(name).relax_payload(BODY, error) is None
        return
    with pytest.warns(RuntimeWarning, match=next(iter(changed))):
        simpler = dialect(name).relax_payload(BODY, error)
    wanted = {key: value for key, value in {**BODY, **changed}.items() if value is not None}
    assert wanted == simpler
    assert dialect(name).relax_payload(wanted, error) is None
