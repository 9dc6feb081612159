"""The other routes: models, tokenizer, and TGI's native `/generate`."""

import zlib
from collections.abc import Iterator

from mdstream_core.emulator import _sse
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan, stream_plan
from mdstream_core.emulator.model import ModelOutput, split_tokens
from mdstream_core.emulator.model_server._flavours import Json
from mdstream_core.emulator.model_server._prompts import build_prompt_text

CREATED = 1_795_188_570


def list_models(names: tuple[str, ...], context: int | None) -> ResponsePlan:
    """Handle `/v1/models`."""
    rest = {"object": "model", "created": CREATED, "owned_by": "vllm", "parent": None, "max_model_len": context or 8192}
    data = [{"id": name, "root": name, **rest} for name in names or ("odsc-llm",)]
    return json_plan(200, {"object": "list", "data": data})


def token_id(token: str) -> int:
    """Return the id of a token, the same for the same token."""
    return zlib.crc32(token.encode("utf-8", "surrogatepass")) % 100_000


def tokenize(request: Json, context: int | None) -> ResponsePlan:
    """Handle `/tokenize`."""
    tokens = split_tokens(build_prompt_text(request))
    body: Json = {"count": len(tokens), "max_model_len": context or 8192, "tokens": [token_id(t) for t in tokens]}
    return json_plan(200, {**body, "token_strs": tokens if request.get("return_token_strs") else None})


def to_openai_request(request: Json) -> Json:
    """Convert TGI's `inputs` and `parameters` to an OpenAI-shaped request."""
    parameters = request.get("parameters") or {}
    prompt = str(request.get("inputs", ""))
    messages = [{"role": "user", "content": prompt}]
    params = {"max_tokens": parameters.get("max_new_tokens"), "stop": parameters.get("stop")}
    return {"messages": messages, "prompt": prompt} | {
        name: value for name, value in params.items() if value is not None
    }


_REASONS = {"stop": "eos_token", "length": "length"}


def _details(output: ModelOutput) -> Json:
    reason = "stop_sequence" if output.stop_reason is not None else _REASONS.get(output.finish, output.finish)
    return {"finish_reason": reason, "generated_tokens": len(output.text), "seed": None}


def build_generate_body(output: ModelOutput) -> ResponsePlan:
    """Handle `/generate`."""
    return json_plan(200, {"generated_text": "".join(output.text), "details": _details(output)})


def build_generate_stream(output: ModelOutput) -> ResponsePlan:
    """Handle `/generate_stream`: TGI's native events, without `[DONE]`."""
    return stream_plan([_sse.event(event) for event in _tgi_events(output)], "text/event-stream")


def _tgi_events(output: ModelOutput) -> Iterator[Json]:
    last = len(output.text) - 1
    for index, text_token in enumerate(output.text):
        token = {"id": token_id(text_token), "text": text_token, "logprob": -0.01, "special": False}
        is_last = index == last
        text, details = ("".join(output.text), _details(output)) if is_last else (None, None)
        yield {"index": index + 1, "token": token, "generated_text": text, "details": details}
