"""The small routes: models, tokens, version; and TGI's own way to generate."""

import zlib
from collections.abc import Iterator

from mdstream_core.emulator import _sse
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan, stream_plan
from mdstream_core.emulator.model import ModelOutput, split_tokens
from mdstream_core.emulator.model_server._flavours import Json
from mdstream_core.emulator.model_server._prompts import build_prompt_text

CREATED = 1_795_188_570


def list_models(names: tuple[str, ...], context: int | None) -> ResponsePlan:
    """`/v1/models`."""
    more = {"object": "model", "created": CREATED, "owned_by": "vllm", "parent": None, "max_model_len": context or 8192}
    data = [{"id": name, "root": name, **more} for name in names or ("odsc-llm",)]
    return json_plan(200, {"object": "list", "data": data})


def token_id(token: str) -> int:
    """A token's id: always the same."""
    return zlib.crc32(token.encode("utf-8", "surrogatepass")) % 100_000


def tokenize(request: Json, context: int | None) -> ResponsePlan:
    """`/tokenize`."""
    pieces = split_tokens(build_prompt_text(request))
    body: Json = {"count": len(pieces), "max_model_len": context or 8192, "tokens": [token_id(one) for one in pieces]}
    return json_plan(200, {**body, "token_strs": pieces if request.get("return_token_strs") else None})


def to_openai_request(request: Json) -> Json:
    """TGI's `inputs` and `parameters` as everybody else says them."""
    given = request.get("parameters") or {}
    prompt = str(request.get("inputs", ""))
    messages = [{"role": "user", "content": prompt}]
    asked = {"max_tokens": given.get("max_new_tokens"), "stop": given.get("stop")}
    return {"messages": messages, "prompt": prompt} | {name: one for name, one in asked.items() if one is not None}


_REASONS = {"stop": "eos_token", "length": "length"}


def _details(answer: ModelOutput) -> Json:
    reason = "stop_sequence" if answer.stop_reason is not None else _REASONS.get(answer.finish, answer.finish)
    return {"finish_reason": reason, "generated_tokens": len(answer.text), "seed": None}


def build_generate_body(answer: ModelOutput) -> ResponsePlan:
    """`/generate`."""
    return json_plan(200, {"generated_text": "".join(answer.text), "details": _details(answer)})


def build_generate_stream(answer: ModelOutput) -> ResponsePlan:
    """`/generate_stream`: TGI's native events, without `[DONE]`."""
    return stream_plan([_sse.event(one) for one in _native(answer)], "text/event-stream")


def _native(answer: ModelOutput) -> Iterator[Json]:
    last = len(answer.text) - 1
    for index, piece in enumerate(answer.text):
        token = {"id": token_id(piece), "text": piece, "logprob": -0.01, "special": False}
        ends = index == last
        text, details = ("".join(answer.text), _details(answer)) if ends else (None, None)
        yield {"index": index + 1, "token": token, "generated_text": text, "details": details}
