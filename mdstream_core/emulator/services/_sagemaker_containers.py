"""Model servers as SageMaker starts them: everything comes to `/invocations`, and the body says what is meant.

One endpoint for each image: `CONTAINERS` names them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._bounds import run_heavy
from mdstream_core.emulator._plan import Plan, gathered, json_plan, stream_plan
from mdstream_core.emulator._received import Received
from mdstream_core.emulator.brain import tokens
from mdstream_core.emulator.container import Server
from mdstream_core.emulator.container._errors import ContainerRefusal
from mdstream_core.emulator.container._vectors import bare, token_vectors

Json = dict[str, Any]
Host = Callable[[Server, Received, Json], Awaitable[Plan]]
"""Answers one invocation with the help of a model server."""

_CHAT, _COMPLETIONS = "/v1/chat/completions", "/v1/completions"
_LINES = "application/jsonlines"
_SIZE = 256  # of an embedding
_MOST_DIALOGUES = 32

#: Which field means which route, in the order in which vLLM tries them (serve/sagemaker/api_router.py).
_VLLM = {
    "messages": _CHAT,
    "prompt": _COMPLETIONS,
    "input": "/v1/embeddings",
    "text_1": "/score",
    "query": "/rerank",
}


async def vllm(server: Server, received: Received, request: Json) -> Plan:
    """vLLM, and SGLang for chats."""
    route = next((route for name, route in _VLLM.items() if name in request), None)
    if route is None:
        text = "Cannot find suitable handler for request. Supported types: chat, completions, embeddings, score, rerank"
        return json_plan(400, {"error": {"message": text, "type": "BadRequestError", "param": None, "code": 400}})
    return await server.answer("POST", route, received.body)


async def tgi(server: Server, received: Received, request: Json) -> Plan:
    """TGI 3: `inputs` for its own format, `messages` and `prompt` for OpenAI's."""
    if "inputs" in request:
        return await _generate(server, received, request)
    route = _CHAT if "messages" in request else _COMPLETIONS if "prompt" in request else ""
    if not route:
        text = "Failed to deserialize the JSON body into the target type: data did not match any variant of untagged"
        return json_plan(422, {"error": f"{text} enum SagemakerRequest", "error_type": "validation"})
    return await server.answer("POST", route, received.body)


async def tgi_old(server: Server, received: Received, request: Json) -> Plan:
    """TGI 1: its own format only."""
    if "inputs" not in request:
        text = "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 54"
        return json_plan(422, {"error": text, "error_type": "validation"})
    return await _generate(server, received, request)


async def lmi(server: Server, received: Received, request: Json) -> Plan:
    """LMI: OpenAI's chunks and its own, all as JSON lines without `[DONE]`."""
    return _as_lines(await tgi(server, received, request))


async def lmi_rolling(server: Server, received: Received, request: Json) -> Plan:
    """LMI's rolling batch: `log_prob`, and the whole text on the last line."""
    if "inputs" not in request:
        return json_plan(424, {"error": "the request has no inputs: the key `inputs` is required", "code": 424})
    return _as_lines(await _generate(server, received, request, _rolling))


async def lmi_dynamic(server: Server, received: Received, request: Json) -> Plan:
    """LMI's dynamic batch: pieces of text, and no mark of the end."""
    if "inputs" not in request:
        return json_plan(424, {"error": "the request has no inputs: the key `inputs` is required", "code": 424})
    plan = await _generate(server, received, request, lambda value: {"outputs": [value["token"]["text"]]})
    return _as_lines(plan)


async def tei(server: Server, received: Received, request: Json) -> Plan:
    """TEI: bare vectors, or a ranking."""
    return await server.answer("POST", "/embed", received.body)


async def lmi_embeddings(server: Server, received: Received, request: Json) -> Plan:
    """LMI with an embedding model: bare vectors, as many as were asked for; one text may stand alone."""
    given = request.get("inputs")
    if not given:
        return json_plan(424, {"error": "the request has no inputs: the key `inputs` is required", "code": 424})
    return await _bare(given)


def _texts(given: Any) -> list[str]:
    """A text or a list of texts, as a list."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ContainerRefusal(400, "the inputs must be a text or a list of texts")
    return texts


async def _bare(given: Any) -> Plan:
    texts = _texts(given)
    return await run_heavy(10 * sum(map(len, texts)), lambda: bare(texts, _SIZE))


async def jumpstart_embeddings(server: Server, received: Received, request: Json) -> Plan:
    """JumpStart's text embedding models: `text_inputs`, and vectors in an object."""
    texts = request.get("text_inputs")
    if not texts:
        text = "'text_inputs' is required"
        return json_plan(400, {"code": 400, "type": "InternalServerException", "message": text})
    plan = await _bare(texts)
    vectors = _json.loads(b"".join(plan.bytes))
    return json_plan(200, {"embedding": vectors})


async def hf_features(server: Server, received: Received, request: Json) -> Plan:
    """Hugging Face's inference toolkit with the task feature-extraction: it does not pool."""
    texts = request.get("inputs")
    if not texts:
        return json_plan(400, {"code": 400, "type": "InternalServerException", "message": "'inputs' is required"})
    given = _texts(texts)
    return await run_heavy(1_000 * sum(map(len, given)), lambda: json_plan(200, token_vectors(given, _SIZE)))


async def jumpstart_llama(server: Server, received: Received, request: Json) -> Plan:
    """JumpStart's Llama 2: dialogues, answered whole, once the licence is accepted."""
    if "accept_eula=true" not in received.headers.get("x-amzn-sagemaker-custom-attributes", ""):
        return json_plan(424, {"error": "Need to pass custom_attributes='accept_eula=true' as part of header"})
    if "inputs" not in request:
        return json_plan(424, {"error": "the key `inputs` is required", "code": 424})
    asked = request.get("parameters") or {}
    dialogues = request["inputs"]
    if not isinstance(dialogues, list) or not all(isinstance(dialogue, list) for dialogue in dialogues):
        return json_plan(424, {"error": "string indices must be integers", "code": 424})
    if len(dialogues) > _MOST_DIALOGUES or not isinstance(asked, dict):
        return json_plan(424, {"error": f"at most {_MOST_DIALOGUES} dialogues, and parameters", "code": 424})
    answers = []
    for dialogue in request["inputs"]:
        body = {"messages": dialogue, "max_tokens": asked.get("max_new_tokens"), "stop": asked.get("stop")}
        plan = await server.answer("POST", _CHAT, _json.dumps(body))
        if plan.status != 200:
            return plan
        text = _json.loads(b"".join(plan.bytes))["choices"][0]["message"]["content"]
        answers.append({"generation": {"role": "assistant", "content": text}})
    return json_plan(200, answers)


#: Endpoint's name: (the image, and the habits of the server in it: a key of `FLAVOURS`).
CONTAINERS: Mapping[str, tuple[Host, str]] = {
    "emulated": (vllm, ""),
    "sglang": (vllm, "sglang"),
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
    server: Server, received: Received, request: Json, write: Callable[[Json], Json] = lambda value: value
) -> Plan:
    """TGI's own format; `details` only where they are asked for."""
    plan = await server.answer("POST", "/generate_stream", received.body)
    if plan.status != 200:
        return plan
    pieces = (await gathered(plan)).bytes
    return await run_heavy(10 * sum(map(len, pieces)), lambda: _rewrite(pieces, request, write))


def _rewrite(pieces: list[bytes], request: Json, write: Callable[[Json], Json]) -> Plan:
    values = [_json.loads(piece[6:]) for piece in pieces]
    asked = (request.get("parameters") or {}).get("details")
    for value in values:
        value["details"] = {**value["details"], "input_length": _size(request)} if asked and value["details"] else None
    end = values[-1] if values else {"generated_text": "", "details": None}
    last = {name: end[name] for name in ("generated_text", "details") if end[name] is not None}
    whole = _json.dumps([last])
    if not request.get("stream"):
        return json_plan(200, whole)
    return replace(stream_plan([_sse.event(write(value)) for value in values], "text/event-stream"), whole=whole)


def _size(request: Json) -> int:
    return len(tokens(str(request["inputs"])))


def _rolling(value: Json) -> Json:
    token = value["token"]
    line: Json = {"token": {"id": token["id"], "text": token["text"], "log_prob": token["logprob"]}}
    if value["generated_text"] is not None:
        line["generated_text"] = value["generated_text"]
        line |= {"details": {**value["details"], "inputs": "…"}} if value["details"] else {}
    return line


def _as_lines(plan: Plan) -> Plan:
    """Events as JSON lines: no `data:`, no `[DONE]`, an empty line at the end. Errors of TGI's parameters are 424."""
    if plan.status == 422:
        error = _json.loads(b"".join(plan.bytes)).get("error")
        message = error.get("message") if isinstance(error, dict) else error
        return json_plan(424, {"error": message, "code": 424})
    if plan.framing != "chunked":
        return plan
    lines = [piece[6:-1] for piece in plan.bytes if piece != _sse.DONE]
    return replace(plan, pieces=[*lines, b"\n"]).with_headers(("content-type", _LINES))
