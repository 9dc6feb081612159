"""The model server behind a service: OpenAI's routes, served by a model, in the format of one real server."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any, Protocol

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._bounds import MAX_CHOICES, MAX_OUTPUT_TOKENS, read_json, run_heavy
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan, stream_plan
from mdstream_core.emulator.model import ModelFunction, ModelOutput, apply_limits
from mdstream_core.emulator.model_server import _chat, _embeddings, _errors, _other_routes, _prompts
from mdstream_core.emulator.model_server._continuation import ContinuationModel
from mdstream_core.emulator.model_server._deferred import EVENT_BYTES, DeferredResponse, Generate, Generation
from mdstream_core.emulator.model_server._errors import ModelServerError, ModelServerUnreachable, ServerLimits
from mdstream_core.emulator.model_server._flavours import FLAVOURS, OPENAI, Json, ServerFlavour
from mdstream_core.emulator.model_server._upstream import UpstreamModelServer
from mdstream_core.emulator.model_server._validation import check_generate, validate_request
from mdstream_core.emulator.model_server.responses import ResponsesRoutes

__all__ = [
    "FLAVOURS",
    "OPENAI",
    "BuiltInModelServer",
    "ModelServer",
    "ModelServerUnreachable",
    "ServerLimits",
    "UpstreamModelServer",
]


_DEFAULT_CONTEXT = 2_048  # tokens
_RERANK = ("/rerank", "/v1/rerank", "/v2/rerank")
_SCORE = ("/score", "/v1/score")


class ModelServer(Protocol):
    """The model server behind the services: the built-in one, or an upstream."""

    async def handle_request(self, method: str, path: str, body: bytes) -> ResponsePlan:
        """Build the plan for one request; raises `ModelServerUnreachable` if the server does not run."""
        ...

    async def check_reachable(self) -> None:
        """Raise `ModelServerUnreachable` if the server does not run."""
        ...

    async def resolve_model(self, name: str) -> str:
        """Return the server's name for a model of a service's catalogue."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class BuiltInModelServer:
    """A model server that runs a model function.

    Args:
        model: Produces the output for an OpenAI-shaped request.
        flavour: The server whose format is imitated: a key of `FLAVOURS`, or a flavour.
        limits: Models, context window and sizes.
        content_type: `content-type` of streams, instead of the flavour's.
    """

    def __init__(
        self,
        model: ModelFunction,
        flavour: str | ServerFlavour = "vllm",
        limits: ServerLimits | None = None,
        content_type: str | None = None,
    ) -> None:
        limits = limits or ServerLimits()
        if isinstance(flavour, str) and flavour not in FLAVOURS:
            raise ValueError(f"flavour={flavour!r} is unknown (hint: use one of {', '.join(FLAVOURS)})")
        self.flavour = FLAVOURS[flavour] if isinstance(flavour, str) else flavour
        self._content_type = content_type or self.flavour.content_type
        self._model = ContinuationModel(model)
        self._limits = limits
        self._ids = count(1)
        self._cache = _prompts.PrefixCache()
        self._responses = _create_responses_routes(self.flavour, self._generate_chat, self._content_type)
        self._routes: dict[tuple[str, str], Callable[[Json], ResponsePlan | DeferredResponse]] = {
            ("POST", "/v1/chat/completions"): self._complete_chat,
            ("POST", "/v1/completions"): self._complete_prompt,
            ("POST", "/v1/embeddings"): _compute(lambda request: _embeddings.build_embeddings(request, limits)),
            ("POST", "/embed"): _compute(lambda request: _embeddings.handle_tei(request, limits)),
            ("POST", "/generate"): lambda request: self._generate(request, _other_routes.build_generate_body),
            ("POST", "/generate_stream"): lambda request: self._generate(request, _other_routes.build_generate_stream),
            ("POST", "/tokenize"): _compute(lambda request: _other_routes.tokenize(request, limits.context)),
            ("GET", "/v1/models"): lambda request: _other_routes.list_models(limits.models, limits.context),
            ("GET", "/version"): lambda request: json_plan(200, {"version": "0.13.0"}),
            ("GET", "/health"): lambda request: json_plan(200, b""),
        }
        self._routes |= dict.fromkeys(
            [("POST", path) for path in _RERANK], _compute(lambda request: _embeddings.build_rerank(request, limits))
        )
        self._routes |= dict.fromkeys([("POST", path) for path in _SCORE], _compute(_embeddings.build_score))

    async def handle_request(self, method: str, path: str, body: bytes) -> ResponsePlan:
        """Build the plan for one request."""
        route = self._routes.get((method, path.rstrip("/")))
        if route is None and self._responses is not None:
            route = self._responses.find_route(method, path)
        if route is None:
            status = 405 if any(path == other for _, other in self._routes) else 404
            return json_plan(status, {"detail": {404: "Not Found", 405: "Method Not Allowed"}[status]})
        try:
            response = route(validate_request(_parse_body(body)))
            if isinstance(response, ResponsePlan):
                return response
            return await run_heavy(max(response.size, len(body)), response.write)
        except ModelServerError as error:
            return error.build_response(self.flavour)

    async def check_reachable(self) -> None:
        """Do nothing: the built-in server always runs."""

    async def resolve_model(self, name: str) -> str:
        """Return the name unchanged."""
        return name

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _complete_chat(self, request: Json) -> DeferredResponse:
        if not isinstance(request.get("messages"), list):
            raise ModelServerError(400, "messages: Input should be a valid list", param="messages")
        return self._respond(request, _chat.CHAT, "chatcmpl", [request])

    def _complete_prompt(self, request: Json) -> DeferredResponse:
        prompt = request.get("prompt")
        if prompt is None:
            raise ModelServerError(400, "prompt: Field required", param="prompt")
        prompts = prompt if isinstance(prompt, list) and prompt and isinstance(prompt[0], str) else [prompt]
        requests = [{**request, "messages": [{"role": "user", "content": str(text)}]} for text in prompts]
        return self._respond(request, _chat.COMPLETION, "cmpl", requests)

    def _generate(self, request: Json, write: Callable[[ModelOutput], ResponsePlan]) -> DeferredResponse:
        check_generate(request)
        openai_request = _other_routes.to_openai_request(request)
        output = apply_limits(self._run_model(openai_request), {"max_tokens": MAX_OUTPUT_TOKENS, **openai_request})
        return DeferredResponse(output.token_count * EVENT_BYTES, lambda: write(output))

    def _generate_chat(self, request: Json) -> Generation:
        """Generate the output for the chat request of `/v1/responses`."""
        size = self._check_request(request)
        limit = MAX_OUTPUT_TOKENS // (1 + _requested_logprobs(request))
        max_tokens = min(_requested_tokens(request) or limit, limit)
        output = apply_limits(self._run_model(request), {**request, "max_tokens": max_tokens})
        cached = min(size, self._cache.count_cached(_prompts.build_prompt_text(request)))
        remaining = max((self._limits.context or _DEFAULT_CONTEXT) - size, 1)
        return Generation(output, size, cached, _requested_tokens(request) or remaining)

    def _run_model(self, request: Json) -> ModelOutput:
        try:
            output = self._model(request)
        except ValueError as error:  # the model rejects the request
            raise ModelServerError(400, str(error)) from error
        if self.flavour.has_inline_reasoning and output.reasoning:
            text_with_reasoning = ("<think>", *output.reasoning, "</think>", "\n\n", *output.text)
            output = replace(output, text=text_with_reasoning, reasoning=())
        return output

    def _respond(self, request: Json, writer: _chat.Writer, prefix: str, requests: list[Json]) -> DeferredResponse:
        completion = self._complete_choices(request, prefix, requests)
        size = sum(output.token_count for output in completion.outputs) * (1 + (request.get("top_logprobs") or 0))
        return DeferredResponse(size * EVENT_BYTES, lambda: self._write_response(request, writer, completion))

    def _write_response(self, request: Json, writer: _chat.Writer, completion: _chat.Completion) -> ResponsePlan:
        chunks, body = writer
        whole = _json.dumps(body(self.flavour, completion))
        if not request.get("stream"):
            return json_plan(200, whole)
        return self._stream(chunks(self.flavour, completion), whole)

    def _stream(self, chunks: Iterable[Json], whole: bytes) -> ResponsePlan:
        events = [_sse.event(chunk) for chunk in chunks]
        if self.flavour.sends_done:
            events.append(_sse.DONE)
        return replace(stream_plan(events, self._content_type), whole=whole)

    def _complete_choices(self, request: Json, prefix: str, requests: list[Json]) -> _chat.Completion:
        size = self._check_request(request)
        choice_count = max(int(request.get("n") or 1), int(request.get("best_of") or 1) if prefix == "cmpl" else 1)
        if choice_count * len(requests) > MAX_CHOICES:
            text = f"n: {len(requests)} prompts with n={choice_count} are more than {MAX_CHOICES} choices"
            raise ModelServerError(400, text, param="n")
        limit = MAX_OUTPUT_TOKENS // (choice_count * len(requests)) // (1 + max(_requested_logprobs(request), 0))
        max_tokens = min(_requested_tokens(request) or limit, limit)
        limited = {**request, "max_tokens": max_tokens, "max_completion_tokens": None}
        outputs = [
            output
            for one_request in requests
            for output in [apply_limits(self._run_model(one_request), limited)] * int(request.get("n") or 1)
        ]
        return _chat.Completion(
            id=f"{prefix}-{next(self._ids):016x}",
            request=request,
            outputs=outputs,
            prompt_tokens=size,
            cached_tokens=min(size, self._cache.count_cached(_prompts.build_prompt_text(request))),
            audio_tokens=_prompts.count_audio_tokens(request),
            details=self.flavour.details,
        )

    def _check_request(self, request: Json) -> int:
        """Reject a request that a real server rejects; return the number of tokens of the prompt."""
        limits = self._limits
        model = str(request.get("model", ""))
        if limits.models and model not in limits.models:
            raise _errors.unknown_model_error(model, limits.models)
        if "no-tools" in model and request.get("tools") and request.get("tool_choice") != "none":
            raise _errors.no_tools_error()
        size = _prompts.count_prompt_tokens(request)
        if limits.context is not None and size > limits.context:
            raise _errors.prompt_too_long_error(size, limits.context)
        max_tokens = _requested_tokens(request) or 0
        if limits.context is not None and max_tokens > limits.context:
            raise _errors.too_many_tokens_error(max_tokens, limits.context)
        return size


def _create_responses_routes(flavour: ServerFlavour, generate: Generate, content_type: str) -> ResponsesRoutes | None:
    """Create the routes of `/v1/responses`, if the server has them."""
    return None if flavour.responses is None else ResponsesRoutes(flavour.responses, generate, content_type)


def _compute(write: Callable[[Json], ResponsePlan]) -> Callable[[Json], DeferredResponse]:
    """Build a route that uses no state of the server, so that a large request may run on a thread."""
    return lambda request: DeferredResponse(0, lambda: write(request))


def _requested_tokens(request: Json) -> int | None:
    """Return the number of output tokens that the request allows."""
    return request.get("max_completion_tokens") or request.get("max_tokens")


def _requested_logprobs(request: Json) -> int:
    """Return the requested number of alternatives for each token."""
    top_logprobs, logprobs = request.get("top_logprobs"), request.get("logprobs")
    return int(top_logprobs or 0) or int(logprobs or 0)


def _parse_body(body: bytes) -> dict[str, Any]:
    try:
        value = read_json(body) if body else {}
    except ValueError as error:
        raise ModelServerError(400, f"JSON decode error: {error}", "Bad Request") from error
    if not isinstance(value, dict):
        raise ModelServerError(400, "Input should be a valid dictionary", "Bad Request")
    return value
