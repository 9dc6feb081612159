"""The emulated OCI Generative AI: bytes of streams, rejected requests, endings."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mdstream_core.emulator import Emulator, Fault

GROK, COHERE = "xai.grok-4", "cohere.command-a-03-2025"
CAPITAL = "What is the capital of France?"
WEATHER = {
    "type": "FUNCTION",
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    with Emulator(oci_genai_ending="eof") as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    shared_emulator.reset()
    return shared_emulator


def post(emulator: Emulator, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{emulator.oci_genai.endpoint}{path}", content=content, headers=headers, trust_env=False)


def build_payload(emulator: Emulator, model: str = GROK, **params: Any) -> dict[str, Any]:
    mode = {"servingType": "ON_DEMAND", "modelId": model}
    return {"compartmentId": emulator.oci_genai.compartment_id, "servingMode": mode, **params}


def chat(emulator: Emulator, model: str = GROK, **request: Any) -> httpx.Response:
    return post(emulator, "/20231130/actions/chat", build_payload(emulator, model, chatRequest=request))


def generic(text: str = CAPITAL, **params: Any) -> dict[str, Any]:
    messages = [{"role": "USER", "content": [{"type": "TEXT", "text": text}]}]
    return {
        "apiFormat": "GENERIC",
        "messages": messages,
        "isStream": True,
        "streamOptions": {"isIncludeUsage": True},
        **params,
    }


def events(response: httpx.Response) -> list[Any]:
    """Parse the data of each event without mdstream."""
    assert (200, "text/event-stream") == (response.status_code, response.headers["content-type"])
    blocks = response.content.decode().split("\n\n")
    assert "" == blocks.pop()
    assert all(block.startswith("data: ") for block in blocks)
    return [json.loads(block[6:]) if block != "data: [DONE]" else "[DONE]" for block in blocks]


def test_a_generic_stream(emulator: Emulator) -> None:
    """
    Tokens with padding, then the finish event alone, then the usage alone.
    """
    *output, finish, usage = events(chat(emulator, **generic()))

    assert "The capital of France is Paris." == "".join(item["message"]["content"][0]["text"] for item in output)
    assert all({"index", "message", "pad"} == set(item) and set(item["pad"]) == {"a"} for item in output)
    assert ({"finishReason", "pad"}, "stop") == (set(finish), finish["finishReason"])
    assert {"usage"} == set(usage)
    assert usage["usage"]["totalTokens"] == usage["usage"]["promptTokens"] + usage["usage"]["completionTokens"]


def test_usage_is_sent_only_if_requested(emulator: Emulator) -> None:
    """
    In each format.
    """
    assert "usage" not in events(chat(emulator, **generic(streamOptions=None)))[-1]
    assert "usage" not in events(chat(emulator, COHERE, apiFormat="COHERE", message="Hi", isStream=True))[-1]


def test_the_last_event_of_a_cohere_stream_repeats_the_response(emulator: Emulator) -> None:
    """
    With the history, the usage and the citations.
    """
    request = {"apiFormat": "COHERE", "message": CAPITAL, "isStream": True, "streamOptions": {"isIncludeUsage": True}}
    *output, last = events(
        chat(emulator, COHERE, **request, documents=[{"id": "d", "text": "The capital of France is Paris."}])
    )

    assert last["text"] == "".join(item["text"] for item in output)
    assert ("COMPLETE", True) == (last["finishReason"], "usage" in last)
    assert [["d"]] == [citation["documentIds"] for citation in last["citations"]]
    assert ["USER", "CHATBOT"] == [turn["role"] for turn in last["chatHistory"]]


def test_a_cohere_v2_stream(emulator: Emulator) -> None:
    """
    Thinking, text, and an empty message that finishes.
    """
    messages = [{"role": "USER", "content": [{"type": "TEXT", "text": CAPITAL}]}]
    request = {"apiFormat": "COHEREV2", "messages": messages, "isStream": True, "thinking": {"type": "ENABLED"}}
    *output, last = events(chat(emulator, "cohere.command-a-reasoning", **request))

    assert {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT"}, "finishReason": "COMPLETE"} == last
    assert ["THINKING", "TEXT"] == list(dict.fromkeys(item["message"]["content"][0]["type"] for item in output))


#: How each family streams two calls: which of id, name and arguments each entry has, and the finish reason.
CALL_FORMATS = {
    "xai.grok-4": ({"id name arguments"}, "tool_calls"),
    "openai.gpt-4.1": ({"id name", "arguments"}, "tool_calls"),
    "meta.llama-3.3-70b-instruct": ({"id name", "arguments"}, "stop"),
    "google.gemini-2.5-pro": ({"name arguments"}, "tool_calls"),
}


@pytest.mark.parametrize(("model", "call_format"), CALL_FORMATS.items(), ids=CALL_FORMATS)
def test_each_family_streams_its_calls_in_its_own_format(
    emulator: Emulator, model: str, call_format: tuple[set[str], str]
) -> None:
    """
    Complete or in fragments, with ids or without, always at position 0.
    """
    output = events(chat(emulator, model, **generic("What is the weather in Paris and London?", tools=[WEATHER])))
    entries = [item["message"]["toolCalls"] for item in output if item.get("message", {}).get("toolCalls")]
    finish = next(item["finishReason"] for item in output if "finishReason" in item)

    assert all(1 == len(item) and "index" not in item[0] for item in entries)
    assert call_format == (
        {" ".join(n for n in ("id", "name", "arguments") if item[0].get(n)) for item in entries},
        finish,
    )


def test_a_generate_text_stream(emulator: Emulator) -> None:
    """
    Each event has an id and a text fragment.
    """
    request = {"runtimeType": "COHERE", "isStream": True, "prompt": CAPITAL, "maxTokens": 500, "numGenerations": 1}
    *output, last = events(post(emulator, "/20231130/actions/generateText", build_payload(emulator, "cohere.command", inferenceRequest=request)))  # fmt: skip

    assert all({"id", "text"} == set(item) for item in output)
    assert "COMPLETE" == last["finishReason"]


@pytest.mark.parametrize(
    ("ending", "model", "last"),
    [("done", GROK, "[DONE]"), ("eof", GROK, "usage"), ("", "meta.llama-3.3-70b-instruct", "[DONE]"), ("", "google.gemini-2.5-pro", "usage")],
)  # fmt: skip
def test_a_stream_ends_as_configured_or_as_its_family_does(ending: str, model: str, last: str) -> None:
    """
    With `[DONE]` or the end of the body.
    """
    with Emulator(oci_genai_ending=ending) as emulator:
        assert last in events(chat(emulator, model, **generic()))[-1]


@pytest.mark.parametrize(("ending", "model"), [("hang", GROK), ("hang", COHERE)])
def test_a_connection_may_stay_open_after_the_last_event(ending: str, model: str) -> None:
    """
    Nothing more is sent until the client disconnects.
    """
    request = generic() if model == GROK else {"apiFormat": "COHERE", "message": CAPITAL, "isStream": True}
    last = b'"usage"' if model == GROK else b'"finishReason"'
    with Emulator(oci_genai_ending=ending) as emulator:
        url = f"{emulator.oci_genai.endpoint}/20231130/actions/chat"
        body = build_payload(emulator, model, chatRequest=request)
        with httpx.stream("POST", url, json=body, timeout=0.5, trust_env=False) as response:
            received = b""
            with pytest.raises(httpx.ReadTimeout):
                for data in response.iter_bytes():
                    received += data
        assert last in received
        assert emulator.last.client_closed.wait(5)


def test_an_unknown_ending_raises_an_error() -> None:
    """
    The message lists the known ones.
    """
    with pytest.raises(ValueError, match=r"oci_genai_ending='never' is unknown.*eof, done, hang"):
        Emulator(oci_genai_ending="never")


CALLED = {
    "role": "ASSISTANT",
    "content": [],
    "toolCalls": [{"id": "a", "type": "FUNCTION", "name": "f", "arguments": "{}"}],
}
TWICE = {**CALLED, "content": [{"type": "TEXT", "text": "."}], "toolCalls": CALLED["toolCalls"] * 2}
LIMITED = {**WEATHER, "parameters": {"type": "object", "properties": {"n": {"type": "integer", "exclusiveMinimum": 0}}}}
REFERRING = {**WEATHER, "parameters": {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}}

#: name: (model, chatRequest, status, words)
REJECTED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "unknown format": (GROK, {"apiFormat": "COHERE3"}, 400, "apiFormat COHERE3 is unknown"),
    "another format": (COHERE, generic(), 400, "Please pass in correct format of request."),
    "the other way round": (GROK, {"apiFormat": "COHERE", "message": "Hi"}, 400, "Please pass in correct format of request."),
    "unknown model": ("nobody.model", generic(), 404, "Entity with key nobody.model not found"),
    "content that is a text": (GROK, generic(messages=[{"role": "USER", "content": "Hi"}]), 400, "content must be a list"),
    "unknown role": (GROK, generic(messages=[{"role": "KING", "content": []}]), 400, "role KING is unknown"),
    "OpenAI's tools": (GROK, generic(tools=[{"type": "function", "function": {}}]), 400, "type FUNCTION"),
    "references": (GROK, generic(tools=[REFERRING]), 400, "$ref"),
    "calls without a text": (GROK, generic(messages=[CALLED]), 500, "Internal Server Error"),
    "Gemini: limits": ("google.gemini-2.5-pro", generic(tools=[LIMITED]), 400, "exclusiveMinimum"),
    "Gemini: two calls": ("google.gemini-2.5-pro", generic(messages=[TWICE]), 400, "number of function response parts"),
    "GPT-5: temperature": ("openai.gpt-5", generic(temperature=0.2), 400, '"param":"temperature"'),
    "GPT-5: maxTokens": ("openai.gpt-5", generic(maxTokens=2), 400, '"code":"unsupported_parameter"'),
    "Cohere: nothing said": (COHERE, {"apiFormat": "COHERE", "message": ""}, 400, "message must be at least 1 token long"),
    "Cohere: JSON's types": (COHERE, {"apiFormat": "COHERE", "message": "Hi", "tools": [{"name": "f", "description": "f", "parameterDefinitions": {"a": {"type": "string"}}}]}, 400, "no Python type"),
    "COHEREV2: toolsChoice": (COHERE, {"apiFormat": "COHEREV2", "messages": [], "toolsChoice": "AUTO"}, 400, "REQUIRED or NONE"),
    "no messages": (GROK, {"apiFormat": "GENERIC"}, 400, "messages must be a list"),
    "a list for an object": (GROK, generic(streamOptions=[1]), 400, "Unable to process the request"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "request_", "status", "message"), REJECTED.values(), ids=REJECTED)
def test_rejected_requests(emulator: Emulator, model: str, request_: dict[str, Any], status: int, message: str) -> None:
    """
    The response has OCI's error format and an id.
    """
    response = chat(emulator, model, **request_)

    assert status == response.status_code
    assert message in response.json()["message"]
    assert response.json()["code"]
    assert response.headers["opc-request-id"]


#: name: (path, change of the payload, status, code)
ADDRESSES: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no compartment": ("chat", {"compartmentId": None}, 400, "MissingParameter"),
    "another compartment": ("chat", {"compartmentId": "ocid1.compartment.oc1..other"}, 404, "NotAuthorizedOrNotFound"),
    "no mode": ("chat", {"servingMode": None}, 400, "InvalidParameter"),
    "an endpoint on demand": ("chat", {"servingMode": {"servingType": "DEDICATED", "endpointId": GROK}}, 400, "InvalidParameter"),
    "another operation": ("sing", {}, 404, "NotAuthorizedOrNotFound"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "change", "status", "code"), ADDRESSES.values(), ids=ADDRESSES)
def test_a_wrong_address_is_rejected(
    emulator: Emulator, path: str, change: dict[str, Any], status: int, code: str
) -> None:
    """
    Compartment, serving mode, operation.
    """
    body = build_payload(emulator, chatRequest=generic()) | change
    response = post(emulator, f"/20231130/actions/{path}", body)

    assert (status, code) == (response.status_code, response.json()["code"])


def test_invalid_requests_are_rejected(emulator: Emulator) -> None:
    """
    No JSON, no object, no POST.
    """
    url = f"{emulator.oci_genai.endpoint}/20231130/actions/chat"

    assert [400, 400] == [post(emulator, "/20231130/actions/chat", body).status_code for body in (b"{", b"[]")]
    assert 405 == httpx.get(url, trust_env=False).status_code


@pytest.mark.parametrize("base", ["/openai/v1", "/20231130/actions/v1"])
@pytest.mark.parametrize("header", ["opc-compartment-id", "CompartmentId"])
def test_openais_paths_require_a_compartment(emulator: Emulator, base: str, header: str) -> None:
    """
    The header has either name; an API key implies a compartment.
    """
    body = {"model": GROK, "messages": [{"role": "user", "content": CAPITAL}]}
    path, compartment = f"{base}/chat/completions", emulator.oci_genai.compartment_id

    assert "Paris" in post(emulator, path, body, **{header: compartment}).json()["choices"][0]["message"]["content"]
    assert 200 == post(emulator, path, body, authorization="Bearer sk-1").status_code
    assert "MissingParameter" == post(emulator, path, body).json()["code"]
    assert 404 == post(emulator, path, body, **{header: "ocid1.compartment.oc1..other"}).status_code
    assert 400 == post(emulator, path, {**body, "store": True}, **{header: compartment}).status_code
    assert 404 == post(emulator, path, {**body, "model": "nobody"}, **{header: compartment}).status_code


def test_credentials_are_checked() -> None:
    """
    An unsigned request and an unknown key are rejected, a known key is accepted.
    """
    with Emulator(api_keys=["sk-good"]) as emulator:
        body = build_payload(emulator, chatRequest=generic())
        path = "/20231130/actions/chat"

        assert "NotAuthenticated" == post(emulator, path, body).json()["code"]
        assert 401 == post(emulator, path, body, authorization="Bearer sk-bad").status_code
        assert 200 == post(emulator, path, body, authorization="Bearer sk-good").status_code


def embed(emulator: Emulator, model: str = "cohere.embed-english-v3.0", **body: Any) -> httpx.Response:
    return post(emulator, "/20231130/actions/embedText", build_payload(emulator, model, **body))


def test_embeddings(emulator: Emulator) -> None:
    """
    One vector for each input, with the model's or the requested size, in all types.
    """
    vectors = embed(emulator, inputs=["one", "two"], inputType="SEARCH_QUERY").json()["embeddings"]
    short = embed(
        emulator, "cohere.embed-v4.0", embedContents=[{"type": "TEXT", "text": "one"}], outputDimensions=256
    ).json()
    typed = embed(
        emulator, inputs=["one"], embeddingTypes=["float", "int8", "uint8", "binary", "ubinary", "base64"]
    ).json()

    assert ([1024, 1024], 256) == ([len(item) for item in vectors], len(short["embeddings"][0]))
    assert {"float": 1024, "int8": 1024, "uint8": 1024, "binary": 128, "ubinary": 128, "base64": 5464} == {
        kind: len(item[0]) for kind, item in typed["embeddingsByType"].items()
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [({"inputs": []}, "list of texts"), ({"inputs": ["x"] * 97}, "96 at most"), ({"inputs": ["word " * 600]}, "too many tokens"), ({"inputs": ["x"], "inputType": "POEM"}, "POEM"), ({"inputs": ["x"], "inputType": "IMAGE"}, "data URI"), ({"inputs": ["x"], "embeddingTypes": ["octal"]}, "octal")],
)  # fmt: skip
def test_rejected_embedding_requests(emulator: Emulator, body: dict[str, Any], message: str) -> None:
    """
    Too many inputs, too long inputs, unknown types; a long input is truncated if requested.
    """
    response = embed(emulator, **body)

    assert (400, True) == (response.status_code, message in response.json()["message"])
    assert 200 == embed(emulator, inputs=["word " * 600], truncate="END").status_code


def test_ranks(emulator: Emulator) -> None:
    """
    The best first, with the texts if requested.
    """
    documents = ["Bread is baked.", "Paris is the capital of France."]
    body = {"input": "capital of France", "documents": documents, "topN": 1}
    ranks = post(
        emulator, "/20231130/actions/rerankText", build_payload(emulator, "cohere.rerank-v3.5", **body, isEcho=True)
    ).json()

    assert [(1, {"text": documents[1]})] == [(item["index"], item["document"]) for item in ranks["documentRanks"]]
    assert (
        400
        == post(emulator, "/20231130/actions/rerankText", build_payload(emulator, input="x", documents=[])).status_code
    )


def test_faults_apply_to_oci_genai(emulator: Emulator) -> None:
    """
    An error response, a document where a stream was requested, and comments between events.
    """
    emulator.script(Fault("refuse", "unavailable"), Fault("json_body"), Fault("keepalive_comments"))

    assert 503 == chat(emulator, **generic()).status_code
    assert "GENERIC" == chat(emulator, **generic()).json()["chatResponse"]["apiFormat"]
    assert chat(emulator, **generic()).text.startswith(": keep-alive\n\ndata: ")
