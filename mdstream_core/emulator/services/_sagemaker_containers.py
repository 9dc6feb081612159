"""Containers as SageMaker starts them: every request goes to `/invocations`, and its body decides what is run.

There is one endpoint for each kind of container: see `CONTAINERS`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._bounds import run_heavy
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import ResponsePlan, collect_chunks, json_plan, stream_plan
from mdstream_core.emulator.model import split_tokens
from mdstream_core.emulator.model_server import ModelServer
from mdstream_core.emulator.model_server._embeddings import build_token_vectors, build_vectors
from mdstream_core.emulator.model_server._errors import ModelServerError
from mdstream_core.emulator.model_server.responses import is_responses_request

Json = dict[str, Any]
ContainerFunction = Callable[[ModelServer, RecordedRequest, Json], Awaitable[ResponsePlan]]
"""Handles one invocation, with a model server behind it."""

_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_JSON_LINES = "application/jsonlines"
_EMBEDDING_SIZE = 256  # dimensions
_MAX_DIALOGUES = 32

#: Field of the body to vLLM's route, in the order in which vLLM tries them (vllm-project/vllm at aa4149d:
#: entrypoints/serve/sagemaker/api_router.py, and entrypoints/generate/factories.py, which has chat and completions, but
#: not `/v1/responses`). vLLM tries the routes of its model's task only, so that an embedding model embeds `messages`;
#: this server has both tasks, and knows such a request by a field that chat has not.
_VLLM_ROUTES = {
    "encoding_format": "/v1/embeddings",
    "messages": _CHAT,
    "prompt": _COMPLETIONS,
    "input": "/v1/embeddings",
    "text_1": "/score",
    "query": "/rerank",
}


#: Names of the requests that it takes, as its error message lists them.
_VLLM_REQUESTS = [f"{name}Request" for name in ("ChatCompletion", "Completion", "Embedding", "Score", "Rerank")]


async def vllm(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """vLLM, and SGLang for chat (`/invocations` of sglang/srt/entrypoints/http_server.py takes chat requests only)."""
    route = next((route for name, route in _VLLM_ROUTES.items() if name in request), None)
    if route is None or is_responses_request(request):
        text = f"Cannot find suitable handler for request. Expected one of: {_VLLM_REQUESTS}"
        return json_plan(400, {"error": {"message": text, "type": "BadRequestError", "param": None, "code": 400}})
    return await server.handle_request("POST", route, http_request.body)


async def with_responses(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """A container of one's own that passes requests of OpenAI's Responses API to vLLM's `/v1/responses`."""
    if is_responses_request(request):
        return await server.handle_request("POST", "/v1/responses", http_request.body)
    return await vllm(server, http_request, request)


async def tgi(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """TGI 3: `inputs` for its own format, `messages` and `prompt` for OpenAI's."""
    if "inputs" in request:
        return await _generate(server, http_request, request)
    route = _CHAT if "messages" in request else _COMPLETIONS if "prompt" in request else ""
    if not route:
        text = "Failed to deserialize the JSON body into the target type: data did not match any variant of untagged"
        return json_plan(422, {"error": f"{text} enum SagemakerRequest", "error_type": "validation"})
    return await server.handle_request("POST", route, http_request.body)


async def tgi_old(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """TGI 1: its own format alone."""
    if "inputs" not in request:
        text = "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 54"
        return json_plan(422, {"error": text, "error_type": "validation"})
    return await _generate(server, http_request, request)


async def lmi(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """LMI: OpenAI's chunks and its own format, both as JSON lines without `[DONE]`."""
    return _to_json_lines(await tgi(server, http_request, request))


async def lmi_rolling(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """LMI with a rolling batch: `log_prob`, and the whole text on the last line."""
    if "inputs" not in request:
        return json_plan(424, {"error": "the request has no inputs: the key `inputs` is required", "code": 424})
    return _to_json_lines(await _generate(server, http_request, request, _to_rolling_batch))


async def lmi_dynamic(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """LMI with a dynamic batch: text chunks, and nothing that marks the end."""
    if "inputs" not in request:
        return json_plan(424, {"error": "the request has no inputs: the key `inputs` is required", "code": 424})
    plan = await _generate(server, http_request, request, lambda value: {"outputs": [value["token"]["text"]]})
    return _to_json_lines(plan)


async def tei(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """TEI: vectors alone, or a ranking."""
    return await server.handle_request("POST", "/embed", http_request.body)


async def lmi_embeddings(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """LMI with an embedding model: vectors alone, one for each text."""
    inputs = request.get("inputs")
    if not inputs:
        return json_plan(424, {"error": "the request has no inputs: the key `inputs` is required", "code": 424})
    return await _build_vectors_response(inputs)


def _parse_texts(inputs: Any) -> list[str]:
    """Return a text or a list of texts as a list."""
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ModelServerError(400, "the inputs must be a text or a list of texts")
    return texts


async def _build_vectors_response(inputs: Any) -> ResponsePlan:
    texts = _parse_texts(inputs)
    return await run_heavy(10 * sum(map(len, texts)), lambda: build_vectors(texts, _EMBEDDING_SIZE))


async def jumpstart_embeddings(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """JumpStart's text embedding models: `text_inputs`, and an object with the vectors."""
    texts = request.get("text_inputs")
    if not texts:
        text = "'text_inputs' is required"
        return json_plan(400, {"code": 400, "type": "InternalServerException", "message": text})
    plan = await _build_vectors_response(texts)
    vectors = _json.loads(b"".join(plan.body_chunks))
    return json_plan(200, {"embedding": vectors})


async def hf_features(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """Hugging Face's inference toolkit with the task feature-extraction, which does not pool."""
    texts = request.get("inputs")
    if not texts:
        return json_plan(400, {"code": 400, "type": "InternalServerException", "message": "'inputs' is required"})
    parsed = _parse_texts(texts)
    return await run_heavy(
        1_000 * sum(map(len, parsed)), lambda: json_plan(200, build_token_vectors(parsed, _EMBEDDING_SIZE))
    )


async def jumpstart_llama(server: ModelServer, http_request: RecordedRequest, request: Json) -> ResponsePlan:
    """JumpStart's Llama 2: dialogues, without streaming, if the licence is accepted."""
    if "accept_eula=true" not in http_request.headers.get("x-amzn-sagemaker-custom-attributes", ""):
        return json_plan(424, {"error": "Need to pass custom_attributes='accept_eula=true' as part of header"})
    if "inputs" not in request:
        return json_plan(424, {"error": "the key `inputs` is required", "code": 424})
    parameters = request.get("parameters") or {}
    dialogues = request["inputs"]
    if not isinstance(dialogues, list) or not all(isinstance(dialogue, list) for dialogue in dialogues):
        return json_plan(424, {"error": "string indices must be integers", "code": 424})
    if len(dialogues) > _MAX_DIALOGUES or not isinstance(parameters, dict):
        return json_plan(424, {"error": f"at most {_MAX_DIALOGUES} dialogues, and parameters", "code": 424})
    outputs = []
    for dialogue in request["inputs"]:
        body = {"messages": dialogue, "max_tokens": parameters.get("max_new_tokens"), "stop": parameters.get("stop")}
        plan = await server.handle_request("POST", _CHAT, _json.dumps(body))
        if plan.status != 200:
            return plan
        text = _json.loads(b"".join(plan.body_chunks))["choices"][0]["message"]["content"]
        outputs.append({"generation": {"role": "assistant", "content": text}})
    return json_plan(200, outputs)


#: Endpoint name to the container and the format of its server: a key of `FLAVOURS`, or `""` for the emulator's.
CONTAINERS: Mapping[str, tuple[ContainerFunction, str]] = {
    "emulated": (vllm, ""),
    "sglang": (vllm, "sglang"),
    "responses": (with_responses, ""),
    "tgi": (tgi, "tgi"),
    "tgi-old": (tgi_old, "tgi"),
    "lmi": (lmi, "vllm"),
    "lmi-rolling": (lmi_rolling, "tgi"),
    "lmi-dynamic": (lmi_dynamic, "tgi"),
    "lmi-sse": (tgi, "vllm"),
    "lmi-embeddings": (lmi_embeddings, "vllm"),
    "tei": (tei, "vllm"),
    "jumpstart-llama": (jumpstart_llama, "vllm"),
    "jumpstart-embeddings": (jumpstart_embeddings, "vllm"),
    "hf-features": (hf_features, "vllm"),
}


async def _generate(
    server: ModelServer,
    http_request: RecordedRequest,
    request: Json,
    write: Callable[[Json], Json] = lambda value: value,
) -> ResponsePlan:
    """Handle TGI's own format; `details` are sent only if they are requested."""
    plan = await server.handle_request("POST", "/generate_stream", http_request.body)
    if plan.status != 200:
        return plan
    chunks = (await collect_chunks(plan)).body_chunks
    return await run_heavy(10 * sum(map(len, chunks)), lambda: _convert_events(chunks, request, write))


def _convert_events(chunks: list[bytes], request: Json, write: Callable[[Json], Json]) -> ResponsePlan:
    values = [_json.loads(chunk[6:]) for chunk in chunks]
    with_details = (request.get("parameters") or {}).get("details")
    for value in values:
        details = value["details"]
        value["details"] = {**details, "input_length": _prompt_tokens(request)} if with_details and details else None
    last_event = values[-1] if values else {"generated_text": "", "details": None}
    last = {name: last_event[name] for name in ("generated_text", "details") if last_event[name] is not None}
    whole = _json.dumps([last])
    if not request.get("stream"):
        return json_plan(200, whole)
    return replace(stream_plan([_sse.event(write(value)) for value in values], "text/event-stream"), whole=whole)


def _prompt_tokens(request: Json) -> int:
    return len(split_tokens(str(request["inputs"])))


def _to_rolling_batch(value: Json) -> Json:
    token = value["token"]
    line: Json = {"token": {"id": token["id"], "text": token["text"], "log_prob": token["logprob"]}}
    if value["generated_text"] is not None:
        line["generated_text"] = value["generated_text"]
        line |= {"details": {**value["details"], "inputs": "…"}} if value["details"] else {}
    return line


def _to_json_lines(plan: ResponsePlan) -> ResponsePlan:
    """Convert events to JSON lines: no `data:`, no `[DONE]`, an empty line at the end; TGI's 422 becomes 424."""
    if plan.status == 422:
        error = _json.loads(b"".join(plan.body_chunks)).get("error")
        message = error.get("message") if isinstance(error, dict) else error
        return json_plan(424, {"error": message, "code": 424})
    if plan.framing != "chunked":
        return plan
    lines = [chunk[6:-1] for chunk in plan.body_chunks if chunk != _sse.DONE]
    return replace(plan, chunks=[*lines, b"\n"]).with_headers(("content-type", _JSON_LINES))
