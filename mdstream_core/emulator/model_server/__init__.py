"""The model server behind a deployment: OpenAI's routes, answered by a brain, written after one server's fashion."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Protocol

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._bounds import MAX_CHOICES, MAX_OUTPUT_TOKENS, read_json, run_heavy
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan, stream_plan
from mdstream_core.emulator.model import ModelFunction, ModelOutput, apply_limits
from mdstream_core.emulator.model_server import _chat, _embeddings, _errors, _other_routes, _prompts
from mdstream_core.emulator.model_server._continuation import ContinuationModel
from mdstream_core.emulator.model_server._errors import ModelServerError, ModelServerUnreachable, ServerLimits
from mdstream_core.emulator.model_server._flavours import FLAVOURS, Json, ServerFlavour
from mdstream_core.emulator.model_server._upstream import UpstreamModelServer
from mdstream_core.emulator.model_server._validation import check_generate, validate_request

__all__ = [
    "FLAVOURS",
    "BuiltInModelServer",
    "ModelServer",
    "ModelServerUnreachable",
    "ServerLimits",
    "UpstreamModelServer",
]


_EVENT_BYTES = 250  # about what a token costs as an event


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """A response that is known, but not written yet.

    Attributes:
        size: About how many bytes it will have.
        write: Writes it; it must not touch the server's memory, as it may run on another thread.
    """

    size: int
    write: Callable[[], ResponsePlan]


_RERANK = ("/rerank", "/v1/rerank", "/v2/rerank")
_SCORE = ("/score", "/v1/score")


class ModelServer(Protocol):
    """What stands behind a service: rules, or a real model server."""

    async def handle_request(self, method: str, path: str, body: bytes) -> ResponsePlan:
        """The plan for one request that reached it; raises `ModelServerUnreachable` where it does not run."""
        ...

    async def check_reachable(self) -> None:
        """Raise `ModelServerUnreachable` where it does not run."""
        ...

    async def resolve_model(self, name: str) -> str:
        """Its own name for a model of a service's catalogue."""
        ...

    async def close(self) -> None:
        """Let go of what is held open."""
        ...


class BuiltInModelServer:
    """One model server."""

    def __init__(
        self,
        model: ModelFunction,
        flavour: str = "vllm",
        limits: ServerLimits | None = None,
        content_type: str | None = None,
    ) -> None:
        limits = limits or ServerLimits()
        if flavour not in FLAVOURS:
            raise ValueError(f"flavour={flavour!r} is unknown; there are: {', '.join(FLAVOURS)}")
        self.flavour: ServerFlavour = FLAVOURS[flavour]
        self._content_type = content_type or self.flavour.content_type
        self._model = ContinuationModel(model)
        self._limits = limits
        self._ids = count(1)
        self._cache = _prompts.PrefixCache()
        self._routes: dict[tuple[str, str], Callable[[Json], ResponsePlan | _Unwritten]] = {
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
        """The plan for one request that reached the server."""
        route = self._routes.get((method, path.rstrip("/")))
        if route is None:
            status = 405 if any(path == known for _, known in self._routes) else 404
            return json_plan(status, {"detail": {404: "Not Found", 405: "Method Not Allowed"}[status]})
        try:
            response = route(validate_request(_read(body)))
            if isinstance(response, ResponsePlan):
                return response
            return await run_heavy(max(response.size, len(body)), response.write)
        except ModelServerError as refusal:
            return refusal.build_response(self.flavour)

    async def check_reachable(self) -> None:
        """It always runs."""

    async def resolve_model(self, name: str) -> str:
        """The name as it is."""
        return name

    async def close(self) -> None:
        """Nothing is held open."""

    def _complete_chat(self, request: Json) -> _Unwritten:
        if not isinstance(request.get("messages"), list):
            raise ModelServerError(400, "messages: Input should be a valid list", param="messages")
        return self._respond(request, _chat.CHAT, "chatcmpl", [request])

    def _complete_prompt(self, request: Json) -> _Unwritten:
        prompt = request.get("prompt")
        if prompt is None:
            raise ModelServerError(400, "prompt: Field required", param="prompt")
        prompts = prompt if isinstance(prompt, list) and prompt and isinstance(prompt[0], str) else [prompt]
        asked = [{**request, "messages": [{"role": "user", "content": str(one)}]} for one in prompts]
        return self._respond(request, _chat.COMPLETION, "cmpl", asked)

    def _generate(self, request: Json, write: Callable[[ModelOutput], ResponsePlan]) -> _Unwritten:
        check_generate(request)
        question = _other_routes.to_openai_request(request)
        answer = apply_limits(self._run_model(question), {"max_tokens": MAX_OUTPUT_TOKENS, **question})
        return _Unwritten(answer.token_count * _EVENT_BYTES, lambda: write(answer))

    def _run_model(self, question: Json) -> ModelOutput:
        try:
            answer = self._model(question)
        except ValueError as error:  # a brain's way to refuse
            raise ModelServerError(400, str(error)) from error
        if self.flavour.has_inline_reasoning and answer.reasoning:
            aloud = ("<think>", *answer.reasoning, "</think>", "\n\n", *answer.text)
            answer = replace(answer, text=aloud, reasoning=())
        return answer

    def _respond(self, request: Json, writer: _chat.Writer, prefix: str, requests: list[Json]) -> _Unwritten:
        said = self._complete_choices(request, prefix, requests)
        size = sum(answer.token_count for answer in said.outputs) * (1 + (request.get("top_logprobs") or 0))
        return _Unwritten(size * _EVENT_BYTES, lambda: self._written(request, writer, said))

    def _written(self, request: Json, writer: _chat.Writer, said: _chat.Completion) -> ResponsePlan:
        chunks, body = writer
        whole = _json.dumps(body(self.flavour, said))
        if not request.get("stream"):
            return json_plan(200, whole)
        return self._stream(chunks(self.flavour, said), whole)

    def _stream(self, chunks: Iterable[Json], whole: bytes) -> ResponsePlan:
        events = [_sse.event(chunk) for chunk in chunks]
        if self.flavour.sends_done:
            events.append(_sse.DONE)
        return replace(stream_plan(events, self._content_type), whole=whole)

    def _complete_choices(self, request: Json, prefix: str, requests: list[Json]) -> _chat.Completion:
        size = self._check_request(request)
        each = max(int(request.get("n") or 1), int(request.get("best_of") or 1) if prefix == "cmpl" else 1)
        if each * len(requests) > MAX_CHOICES:
            text = f"n: {len(requests)} prompts with n={each} are more than {MAX_CHOICES} choices"
            raise ModelServerError(400, text, param="n")
        room = MAX_OUTPUT_TOKENS // (each * len(requests)) // (1 + max(_top(request), 0))
        allowed = {**request, "max_tokens": min(_most(request) or room, room), "max_completion_tokens": None}
        answers = [
            answer
            for question in requests
            for answer in [apply_limits(self._run_model(question), allowed)] * int(request.get("n") or 1)
        ]
        return _chat.Completion(
            id=f"{prefix}-{next(self._ids):016x}",
            request=request,
            outputs=answers,
            prompt_tokens=size,
            cached_tokens=min(size, self._cache.count_cached(_prompts.build_prompt_text(request))),
            audio_tokens=_prompts.count_audio_tokens(request),
            details=self.flavour.details,
        )

    def _check_request(self, request: Json) -> int:
        """Refuse what a server would refuse; the prompt's size."""
        limits = self._limits
        model = str(request.get("model", ""))
        if limits.models and model not in limits.models:
            raise _errors.unknown_model_error(model, limits.models)
        if "no-tools" in model and request.get("tools") and request.get("tool_choice") != "none":
            raise _errors.no_tools_error()
        size = _prompts.count_prompt_tokens(request)
        if limits.context is not None and size > limits.context:
            raise _errors.prompt_too_long_error(size, limits.context)
        asked = _most(request) or 0
        if limits.context is not None and asked > limits.context:
            raise _errors.too_many_tokens_error(asked, limits.context)
        return size


def _compute(write: Callable[[Json], ResponsePlan]) -> Callable[[Json], _Unwritten]:
    """A route without memory: it may run on any thread where the request is large."""
    return lambda request: _Unwritten(0, lambda: write(request))


def _most(request: Json) -> int | None:
    """How many tokens are asked for."""
    return request.get("max_completion_tokens") or request.get("max_tokens")


def _top(request: Json) -> int:
    """How many alternatives each token is to have."""
    named, legacy = request.get("top_logprobs"), request.get("logprobs")
    return int(named or 0) or int(legacy or 0)


def _read(body: bytes) -> dict[str, Any]:
    try:
        value = read_json(body) if body else {}
    except ValueError as error:
        raise ModelServerError(400, f"JSON decode error: {error}", "Bad Request") from error
    if not isinstance(value, dict):
        raise ModelServerError(400, "Input should be a valid dictionary", "Bad Request")
    return value
