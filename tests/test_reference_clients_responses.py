"""OpenAI's SDK as the reference client of the emulated `/v1/responses`, on every service that has it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from _raw_client import STREAM, send_request
from _sagemaker import KEYS
from pydantic import BaseModel

from mdstream_core.emulator import FLAVOURS, Emulator, Fault, ModelOutput

openai = pytest.importorskip(
    "openai", reason="checks the emulator with OpenAI's SDK; install mdstream-llm[reference-clients]"
)
types = pytest.importorskip("openai.types.responses", reason="the SDK's part for responses")

CAPITAL = "The capital of France is Paris."
PROMPT = "What is the capital of France?"
TWO_CITIES = "What is the weather in Paris and in Tokyo?"
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Person(BaseModel):
    name: str
    age: int


#: Service: its base URL for streams, that for whole responses, the model and the headers.
Target = tuple[str, str, str, dict[str, str]]


def _genai(emulator: Emulator, base: str) -> Target:
    address = emulator.oci_genai
    headers = {
        "opc-compartment-id": address.compartment_id,
        "CompartmentId": address.compartment_id,
        "opc-conversation-store-id": address.conversation_store_id,
    }
    return (f"{address.endpoint}{base}",) * 2 + ("openai.gpt-5", headers)  # type: ignore[return-value]


SERVICES: dict[str, Callable[[Emulator], Target]] = {
    "openai-compatible": lambda emulator: (emulator.openai_url, emulator.openai_url, "odsc-llm", {}),
    "oci-model-deployment": lambda emulator: (
        f"{emulator.endpoint}{STREAM}/v1", f"{emulator.endpoint}/predict/v1", "odsc-llm", {},
    ),
    "modelarts": lambda emulator: (f"{emulator.modelarts.endpoint}/v1", f"{emulator.modelarts.endpoint}/v1", "m", {}),
    "maas": lambda emulator: (emulator.modelarts.maas, emulator.modelarts.maas, "m", {}),
    "oci-genai": lambda emulator: _genai(emulator, "/openai/v1"),
    "oci-genai-older": lambda emulator: _genai(emulator, "/20231130/actions/v1"),
}  # fmt: skip


class Client:
    """OpenAI's client for streams and the one for whole responses of a service."""

    def __init__(self, emulator: Emulator, service: str) -> None:
        stream_url, whole_url, self.model, headers = SERVICES[service](emulator)
        options = {"api_key": "sk-emulated", "max_retries": 0, "default_headers": headers}
        self.stream = openai.OpenAI(base_url=stream_url, **options).responses
        self.whole = openai.OpenAI(base_url=whole_url, **options).responses

    def both(self, **params: Any) -> list[Any]:
        """Return the response of a stream, and the same without a stream."""
        params = {"model": self.model, **params}
        with self.stream.stream(**params) as stream:
            streamed = stream.get_final_response()
        return [streamed, self.whole.parse(**params)]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(params=SERVICES)
def client(emulator: Emulator, request: pytest.FixtureRequest) -> Client:
    emulator.reset()
    return Client(emulator, request.param)


@pytest.fixture
def genai(emulator: Emulator) -> Client:
    emulator.reset()
    return Client(emulator, "oci-genai")


def test_text(client: Client) -> None:
    """
    The deltas of a stream, its final response, and a response without a stream agree.
    """
    events = list(client.stream.create(model=client.model, input=PROMPT, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")

    assert (CAPITAL, "response.created", "response.completed") == (text, events[0].type, events[-1].type)
    assert list(range(len(events))) == [event.sequence_number for event in events]
    for response in client.both(input=PROMPT, instructions="Be brief."):
        assert (CAPITAL, "completed", client.model) == (response.output_text, response.status, response.model)
        assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_parallel_calls(client: Client) -> None:
    """
    Two calls in one response, and the answer after their outputs were sent back.
    """
    for response in client.both(input=TWO_CITIES, tools=[WEATHER]):
        calls = [item for item in response.output if item.type == "function_call"]
        assert [{"city": "Paris"}, {"city": "Tokyo"}] == [json.loads(call.arguments) for call in calls]
        assert 2 == len({call.call_id for call in calls}) == len({call.id for call in calls})
        outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "17 degrees"} for call in calls]
        history = [{"role": "user", "content": TWO_CITIES}, *response.output, *outputs]
        final = client.whole.create(model=client.model, input=history, tools=[WEATHER])
        assert "17 degrees" in final.output_text


def test_structured_output(client: Client) -> None:
    """
    `text_format` of the SDK, which is `text.format` in the request.
    """
    for response in client.both(input="Alice Smith is 30 years old.", text_format=Person):
        assert Person(name="Alice Smith", age=30) == response.output_parsed


def test_images_and_files(client: Client) -> None:
    """
    In the input, as data URIs.
    """
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    ]
    for response in client.both(input=[{"role": "user", "content": content}]):
        assert "I see an image and a document." in response.output_text


def test_incomplete(client: Client) -> None:
    """
    A response that reaches its limit says why.
    """
    events = list(client.stream.create(model=client.model, input="Count to 50", max_output_tokens=16, stream=True))
    whole = client.whole.create(model=client.model, input="Count to 50", max_output_tokens=16)

    assert "response.incomplete" == events[-1].type
    for response in (events[-1].response, whole):
        assert ("incomplete", "max_output_tokens") == (response.status, response.incomplete_details.reason)
        assert "incomplete" == response.output[-1].status


def test_previous_response(client: Client) -> None:
    """
    A stored response is continued; `store=False` and unknown ids are not.
    """
    first = client.whole.create(model=client.model, input="My name is Ada.")
    options = {"model": client.model, "input": "What is my name?"}
    assert "Your name is Ada." == client.whole.create(**options, previous_response_id=first.id).output_text
    forgotten = client.whole.create(model=client.model, input="My name is Ada.", store=False)
    with pytest.raises(openai.APIStatusError) as caught:
        client.whole.create(**options, previous_response_id=forgotten.id)

    assert caught.value.status_code in {400, 404}
    assert "not found" in str(caught.value)


def test_refusal(client: Client) -> None:
    """
    As a part of its own.
    """
    for response in client.both(input="Please refuse this."):
        (part,) = response.output[0].content
        assert ("refusal", True) == (part.type, part.refusal.startswith("I'm sorry"))


def test_failures(client: Client, emulator: Emulator) -> None:
    """
    An error event and a failed response are events of the SDK, a cut is an error of the connection.
    """
    params = {"model": client.model, "input": PROMPT, "stream": True}
    emulator.script(Fault("error_event", after=4), Fault("error_event", "responses-failed", after=4), Fault("cut"))
    error = list(client.stream.create(**params))[-1]
    failed = list(client.stream.create(**params))[-1]
    with pytest.raises((openai.APIError, httpx.HTTPError)):
        list(client.stream.create(**params))

    assert ("error", "server_error", "the model server failed") == (error.type, error.code, error.message)
    assert ("response.failed", "server_error") == (failed.type, failed.response.error.code)


# OCI Generative AI, which has OpenAI's own format


def test_reasoning_is_sent_back(genai: Client) -> None:
    """
    As a summary, and encrypted for requests that are not stored.
    """
    params = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    for response in genai.both(input=TWO_CITIES, tools=[WEATHER], store=False, **params):
        reasoning, *calls = response.output
        assert ("reasoning", 2) == (reasoning.type, len(reasoning.summary))
        outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "17"} for call in calls]
        history: list[Any] = [{"role": "user", "content": TWO_CITIES}, *response.output, *outputs]
        options = {"model": genai.model, "tools": [WEATHER], "store": False, **params}
        assert "17" in genai.whole.create(input=history, **options).output_text
        damaged = reasoning.model_copy(update={"encrypted_content": "gAAAAdamaged"})
        with pytest.raises(openai.BadRequestError) as caught:
            genai.whole.create(input=[history[0], damaged, *history[2:]], **options)
        assert "invalid_encrypted_content" == caught.value.code


def test_reasoning_text(genai: Client, emulator: Emulator) -> None:
    """
    Of models with open weights, and of vLLM.
    """
    for target, model in ((genai, "openai.gpt-oss-120b"), (Client(emulator, "openai-compatible"), "odsc-llm")):
        for response in target.both(input=PROMPT, model=model, reasoning={"effort": "low"}):
            reasoning, message = response.output
            assert reasoning.content[0].text.startswith("The user says: What is")
            assert CAPITAL == message.content[0].text


HOSTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "web search": ({"type": "web_search"}, ["web_search_call", "message"]),
    "file search": ({"type": "file_search", "vector_store_ids": ["vs_1"]}, ["file_search_call", "message"]),
    "code": (
        {"type": "code_interpreter", "container": {"type": "auto"}},
        ["code_interpreter_call", "message"],
    ),
    "image": ({"type": "image_generation", "partial_images": 2}, ["image_generation_call", "message"]),
    "mcp": (
        {"type": "mcp", "server_label": "s", "server_url": "https://example.com", "require_approval": "never"},
        ["mcp_list_tools", "mcp_call", "message"],
    ),
    "mcp approval": (
        {"type": "mcp", "server_label": "s", "server_url": "https://example.com"},
        ["mcp_list_tools", "mcp_approval_request"],
    ),
    "shell": ({"type": "local_shell"}, ["local_shell_call"]),
}


@pytest.mark.parametrize("name", HOSTED)
def test_built_in_tools(genai: Client, name: str) -> None:
    """
    Their items precede the message, and can be sent back.
    """
    tool, expected = HOSTED[name]
    include = ["file_search_call.results", "code_interpreter_call.outputs"]
    for response in genai.both(input="Name three rivers.", tools=[tool], include=include):
        assert expected == [item.type for item in response.output]
        if expected[-1] == "message":
            history = [
                {"role": "user", "content": "Name three rivers."},
                *response.output,
                {"role": "user", "content": PROMPT},
            ]
            assert CAPITAL == genai.whole.create(model=genai.model, input=history).output_text


def test_citations(genai: Client) -> None:
    """
    A text that was written after a search has annotations.
    """
    for response in genai.both(input="Name three rivers.", tools=[{"type": "web_search"}]):
        (annotation,) = response.output[-1].content[0].annotations
        assert ("url_citation", "https://example.com/rivers") == (annotation.type, annotation.url)


def test_an_approval_continues_the_response(genai: Client) -> None:
    """
    Of a call to an MCP server.
    """
    tool: dict[str, Any] = {"type": "mcp", "server_label": "s", "server_url": "https://example.com"}
    first = genai.whole.create(model=genai.model, input="Name three rivers.", tools=[tool])
    approval = {"type": "mcp_approval_response", "approval_request_id": first.output[-1].id, "approve": True}
    second = genai.whole.create(model=genai.model, input=[approval], tools=[tool], previous_response_id=first.id)

    assert ["mcp_call", "message"] == [item.type for item in second.output]
    assert second.output[0].approval_request_id == first.output[-1].id


def test_custom_tools(genai: Client) -> None:
    """
    Their input is a text, not JSON.
    """
    tool = {"type": "custom", "name": "run_code", "description": "Run the code."}
    for response in genai.both(input="Please run the code print(1)", tools=[tool]):
        assert ("custom_tool_call", "run_code") == (response.output[0].type, response.output[0].name)
        assert isinstance(response.output[0].input, str)


def test_conversations(genai: Client, emulator: Emulator) -> None:
    """
    A conversation keeps the items of its responses.
    """
    url, _, model, headers = SERVICES["oci-genai"](emulator)
    client = openai.OpenAI(base_url=url, api_key="sk-emulated", default_headers=headers, max_retries=0)
    conversation = client.conversations.create()
    client.responses.create(model=model, input="My name is Ada.", conversation=conversation.id)
    response = client.responses.create(model=model, input="What is my name?", conversation=conversation.id)

    assert ("Your name is Ada.", conversation.id) == (response.output_text, response.conversation.id)
    assert response.id == client.responses.retrieve(response.id).id
    assert 4 == len(client.conversations.items.list(conversation.id).data)
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_the_conversation_store_is_required(emulator: Emulator) -> None:
    """
    Unless the response is not stored; the compartment always is.
    """
    url, _, model, headers = SERVICES["oci-genai"](emulator)
    del headers["opc-conversation-store-id"]
    client = openai.OpenAI(base_url=url, api_key="sk-emulated", default_headers=headers, max_retries=0)
    with pytest.raises(openai.BadRequestError, match="opc-conversation-store-id header is missing"):
        client.responses.create(model=model, input=PROMPT)

    assert CAPITAL == client.responses.create(model=model, input=PROMPT, store=False).output_text


CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "17"}
#: Name: the request, and the code and parameter of the error of OpenAI's service.
REJECTED: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
    "no input": ({}, "missing_required_parameter", "input"),
    "an unknown item": ({"input": [{"type": "nope"}]}, "invalid_value", "input[0]"),
    "an unknown part": (
        {"input": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, "invalid_value", "input[0].content[0]",
    ),
    "an input part of the assistant": (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "Hi"}]}]},
        "invalid_value", "input[0].content[0]",
    ),
    "no call_id": (
        {"input": [{"type": "function_call_output", "output": "17"}]}, "missing_required_parameter", "input[0].call_id",
    ),
    "an output without a call": ({"input": [OUTPUT]}, None, "input"),
    "a call without an output": ({"input": [{"role": "user", "content": "Hi"}, CALL]}, None, "input"),
    "an id of another type": (
        {"input": [{**CALL, "id": "chatcmpl-1"}, OUTPUT]}, "invalid_value", "input[0].id",
    ),
    "a chat's tool": (
        {"input": PROMPT, "tools": [{"type": "function", "function": {"name": "f"}}]},
        "missing_required_parameter", "tools[0].name",
    ),
    "a tool that is not strict": (
        {"input": PROMPT, "tools": [{**WEATHER, "parameters": {"type": "object", "properties": {"a": {}}}}]},
        "invalid_function_parameters", "tools[0].parameters",
    ),
    "a chat's parameter": ({"input": PROMPT, "max_tokens": 5}, "unsupported_parameter", "max_tokens"),
    "an unknown parameter": ({"input": PROMPT, "seed": 5}, "unknown_parameter", "seed"),
    "an unknown include": ({"input": PROMPT, "include": ["nope"]}, "invalid_value", "include[0]"),
    "an unknown response": (
        {"input": PROMPT, "previous_response_id": "resp_nope"}, "previous_response_not_found", "previous_response_id",
    ),
    "lone reasoning": (
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, None, "input",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
def test_invalid_requests(genai: Client, name: str) -> None:
    """
    Get OpenAI's error with its code and parameter.
    """
    params, code, param = REJECTED[name]
    with pytest.raises(openai.APIStatusError) as caught:
        genai.whole.create(model=genai.model, extra_body=params)

    assert (code, param, "invalid_request_error") == (caught.value.code, caught.value.param, caught.value.type)


def test_reasoning_of_a_stored_call_must_not_be_left_out(genai: Client) -> None:
    """
    OpenAI's service rejects a call that is sent back without its reasoning.
    """
    response = genai.whole.create(model=genai.model, input=TWO_CITIES, tools=[WEATHER], reasoning={"effort": "low"})
    _, *calls = response.output
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "17"} for call in calls]
    history = [{"role": "user", "content": TWO_CITIES}, *calls, *outputs]
    with pytest.raises(openai.BadRequestError, match="without its required 'reasoning' item"):
        genai.whole.create(model=genai.model, input=history)


# SageMaker, and the types of every event


def test_boto3_invokes_responses() -> None:
    """
    vLLM's container recognizes the request by its fields.
    """
    boto3 = pytest.importorskip("boto3", reason="checks the emulator with boto3; install mdstream-llm[aws]")
    with Emulator(aws_keys=KEYS) as emulator:
        runtime = boto3.client(
            "sagemaker-runtime",
            region_name=emulator.sagemaker.region_name,
            endpoint_url=emulator.sagemaker.endpoint_url,
            aws_access_key_id="AKEMULATED",
            aws_secret_access_key="s3cret",
        )
        options = {"EndpointName": "responses", "ContentType": "application/json"}
        body = {"model": "m", "input": [{"role": "user", "content": PROMPT}]}
        whole = runtime.invoke_endpoint(**options, Body=json.dumps(body))["Body"].read()
        stream = runtime.invoke_endpoint_with_response_stream(**options, Body=json.dumps({**body, "stream": True}))
        data = b"".join(event["PayloadPart"]["Bytes"] for event in stream["Body"])

    assert CAPITAL == types.Response.model_validate_json(whole).output_text
    assert data.endswith(b'"type":"response.completed"}\n\n')


REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"input": PROMPT},
    "logprobs": {"input": PROMPT, "include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "calls": {"input": TWO_CITIES, "tools": [WEATHER]},
    "refusal": {"input": "Please refuse this."},
    "incomplete": {"input": "Count to 50", "max_output_tokens": 5},
    "incomplete call": {"input": TWO_CITIES, "tools": [WEATHER], "max_output_tokens": 6},
    "built-in tools": {"input": PROMPT, "tools": [HOSTED[name][0] for name in HOSTED if name != "mcp approval"]},
    "JSON": {"input": "Alice is 30", "text": {"format": {"type": "json_object"}}},
}


@pytest.mark.parametrize("flavour", [name for name, flavour in FLAVOURS.items() if flavour.responses])
@pytest.mark.parametrize("name", REQUESTS)
def test_events_validate_as_openais_types(flavour: str, name: str) -> None:
    """
    Every event of a stream has the fields that the SDK's models require.
    """
    adapter = pytest.importorskip("pydantic").TypeAdapter(types.ResponseStreamEvent)
    with Emulator(flavour=flavour) as emulator:
        events = send_request(
            f"{emulator.openai_url}/responses", {"model": "m", "stream": True, **REQUESTS[name]}
        ).events
        whole = send_request(f"{emulator.openai_url}/responses", {"model": "m", **REQUESTS[name]}).json
    for event in [event for event in events if "reasoning_part" not in event["type"]]:
        adapter.validate_python(event)

    types.Response.model_validate(whole)
    assert events[-1]["type"] in {"response.completed", "response.incomplete"}


@pytest.mark.parametrize("finish", ["length", "content_filter", "error"])
def test_a_model_decides_how_a_response_ends(finish: str) -> None:
    """
    `ModelOutput.finish` of a model of your own.
    """
    expected = {
        "length": ("incomplete", "max_output_tokens", None),
        "content_filter": ("incomplete", "content_filter", None),
        "error": ("failed", None, "server_error"),
    }[finish]
    with Emulator(model=lambda request: ModelOutput(text=("Half",), finish=finish)) as emulator:
        client = openai.OpenAI(base_url=emulator.openai_url, api_key="k").responses
        response = client.create(model="m", input=PROMPT)

    reason = response.incomplete_details and response.incomplete_details.reason
    assert expected == (response.status, reason, response.error and response.error.code)
