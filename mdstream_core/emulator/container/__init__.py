"""The model server behind a deployment: OpenAI's routes, answered by a brain, written after one server's fashion."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Protocol

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._bounds import MAX_CHOICES, MAX_OUTPUT_TOKENS, read_json, run_heavy
from mdstream_core.emulator._plan import Plan, json_plan, stream_plan
from mdstream_core.emulator.brain import Answer, Brain, limited
from mdstream_core.emulator.container import _chat, _errors, _prompts, _small, _vectors
from mdstream_core.emulator.container._continued import Continuations
from mdstream_core.emulator.container._errors import ContainerRefusal, Limits, Unreachable
from mdstream_core.emulator.container._flavours import FLAVOURS, Flavour, Json
from mdstream_core.emulator.container._upstream import Upstream
from mdstream_core.emulator.container._validation import check_generate, checked

__all__ = ["FLAVOURS", "Container", "Limits", "Server", "Unreachable", "Upstream"]


_EVENT_BYTES = 250  # about what a token costs as an event


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """A response that is known, but not written yet.

    Attributes:
        size: About how many bytes it will have.
        write: Writes it; it must not touch the server's memory, as it may run on another thread.
    """

    size: int
    write: Callable[[], Plan]


_RERANK = ("/rerank", "/v1/rerank", "/v2/rerank")
_SCORE = ("/score", "/v1/score")


class Server(Protocol):
    """What stands behind a service: rules, or a real model server."""

    async def answer(self, method: str, path: str, body: bytes) -> Plan:
        """The plan for one request that reached it; raises `Unreachable` where it does not run."""
        ...

    async def check_reachable(self) -> None:
        """Raise `Unreachable` where it does not run."""
        ...

    async def resolve_model(self, name: str) -> str:
        """Its own name for a model of a service's catalogue."""
        ...

    async def close(self) -> None:
        """Let go of what is held open."""
        ...


class Container:
    """One model server."""

    def __init__(
        self, brain: Brain, flavour: str = "vllm", limits: Limits | None = None, content_type: str | None = None
    ) -> None:
        limits = limits or Limits()
        if flavour not in FLAVOURS:
            raise ValueError(f"flavour={flavour!r} is unknown; there are: {', '.join(FLAVOURS)}")
        self.flavour: Flavour = FLAVOURS[flavour]
        self._content_type = content_type or self.flavour.content_type
        self._brain = Continuations(brain)
        self._limits = limits
        self._ids = count(1)
        self._cache = _prompts.PrefixCache()
        self._routes: dict[tuple[str, str], Callable[[Json], Plan | _Unwritten]] = {
            ("POST", "/v1/chat/completions"): self._chats,
            ("POST", "/v1/completions"): self._completes,
            ("POST", "/v1/embeddings"): _compute(lambda request: _vectors.embeddings(request, limits)),
            ("POST", "/embed"): _compute(lambda request: _vectors.tei(request, limits)),
            ("POST", "/generate"): lambda request: self._generate(request, _small.generated),
            ("POST", "/generate_stream"): lambda request: self._generate(request, _small.generated_stream),
            ("POST", "/tokenize"): _compute(lambda request: _small.tokenize(request, limits.context)),
            ("GET", "/v1/models"): lambda request: _small.models(limits.models, limits.context),
            ("GET", "/version"): lambda request: json_plan(200, {"version": "0.13.0"}),
            ("GET", "/health"): lambda request: json_plan(200, b""),
        }
        self._routes |= dict.fromkeys(
            [("POST", path) for path in _RERANK], _compute(lambda request: _vectors.rerank(request, limits))
        )
        self._routes |= dict.fromkeys([("POST", path) for path in _SCORE], _compute(_vectors.score))

    async def answer(self, method: str, path: str, body: bytes) -> Plan:
        """The plan for one request that reached the server."""
        route = self._routes.get((method, path.rstrip("/")))
        if route is None:
            status = 405 if any(path == known for _, known in self._routes) else 404
            return json_plan(status, {"detail": {404: "Not Found", 405: "Method Not Allowed"}[status]})
        try:
            response = route(checked(_read(body)))
            if isinstance(response, Plan):
                return response
            return await run_heavy(max(response.size, len(body)), response.write)
        except ContainerRefusal as refusal:
            return refusal.plan(self.flavour)

    async def check_reachable(self) -> None:
        """It always runs."""

    async def resolve_model(self, name: str) -> str:
        """The name as it is."""
        return name

    async def close(self) -> None:
        """Nothing is held open."""

    def _chats(self, request: Json) -> _Unwritten:
        if not isinstance(request.get("messages"), list):
            raise ContainerRefusal(400, "messages: Input should be a valid list", param="messages")
        return self._write(request, _chat.CHAT, "chatcmpl", [request])

    def _completes(self, request: Json) -> _Unwritten:
        prompt = request.get("prompt")
        if prompt is None:
            raise ContainerRefusal(400, "prompt: Field required", param="prompt")
        prompts = prompt if isinstance(prompt, list) and prompt and isinstance(prompt[0], str) else [prompt]
        asked = [{**request, "messages": [{"role": "user", "content": str(one)}]} for one in prompts]
        return self._write(request, _chat.COMPLETION, "cmpl", asked)

    def _generate(self, request: Json, write: Callable[[Answer], Plan]) -> _Unwritten:
        check_generate(request)
        question = _small.as_question(request)
        answer = limited(self._think(question), {"max_tokens": MAX_OUTPUT_TOKENS, **question})
        return _Unwritten(answer.size * _EVENT_BYTES, lambda: write(answer))

    def _think(self, question: Json) -> Answer:
        try:
            answer = self._brain(question)
        except ValueError as error:  # a brain's way to refuse
            raise ContainerRefusal(400, str(error)) from error
        if self.flavour.thinks_aloud and answer.reasoning:
            aloud = ("<think>", *answer.reasoning, "</think>", "\n\n", *answer.text)
            answer = replace(answer, text=aloud, reasoning=())
        return answer

    def _write(self, request: Json, writer: _chat.Writer, prefix: str, asked: list[Json]) -> _Unwritten:
        said = self._say(request, prefix, asked)
        size = sum(answer.size for answer in said.answers) * (1 + (request.get("top_logprobs") or 0))
        return _Unwritten(size * _EVENT_BYTES, lambda: self._written(request, writer, said))

    def _written(self, request: Json, writer: _chat.Writer, said: _chat.Said) -> Plan:
        chunks, body = writer
        whole = _json.dumps(body(self.flavour, said))
        if not request.get("stream"):
            return json_plan(200, whole)
        return self._stream(chunks(self.flavour, said), whole)

    def _stream(self, chunks: Iterable[Json], whole: bytes) -> Plan:
        events = [_sse.event(chunk) for chunk in chunks]
        if self.flavour.marks_end:
            events.append(_sse.DONE)
        return replace(stream_plan(events, self._content_type), whole=whole)

    def _say(self, request: Json, prefix: str, asked: list[Json]) -> _chat.Said:
        size = self._accept(request)
        each = max(int(request.get("n") or 1), int(request.get("best_of") or 1) if prefix == "cmpl" else 1)
        if each * len(asked) > MAX_CHOICES:
            text = f"n: {len(asked)} prompts with n={each} are more than {MAX_CHOICES} choices"
            raise ContainerRefusal(400, text, param="n")
        room = MAX_OUTPUT_TOKENS // (each * len(asked)) // (1 + max(_top(request), 0))
        allowed = {**request, "max_tokens": min(_most(request) or room, room), "max_completion_tokens": None}
        answers = [
            answer
            for question in asked
            for answer in [limited(self._think(question), allowed)] * int(request.get("n") or 1)
        ]
        return _chat.Said(
            id=f"{prefix}-{next(self._ids):016x}",
            request=request,
            answers=answers,
            prompt_tokens=size,
            cached_tokens=min(size, self._cache.hit(_prompts.prompt_text(request))),
            audio_tokens=_prompts.audio_tokens(request),
            details=self.flavour.details,
        )

    def _accept(self, request: Json) -> int:
        """Refuse what a server would refuse; the prompt's size."""
        limits = self._limits
        model = str(request.get("model", ""))
        if limits.models and model not in limits.models:
            raise _errors.unknown_model(model, limits.models)
        if "no-tools" in model and request.get("tools") and request.get("tool_choice") != "none":
            raise _errors.no_tools()
        size = _prompts.prompt_size(request)
        if limits.context is not None and size > limits.context:
            raise _errors.too_long(size, limits.context)
        asked = _most(request) or 0
        if limits.context is not None and asked > limits.context:
            raise _errors.too_many(asked, limits.context)
        return size


def _compute(write: Callable[[Json], Plan]) -> Callable[[Json], _Unwritten]:
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
        raise ContainerRefusal(400, f"JSON decode error: {error}", "Bad Request") from error
    if not isinstance(value, dict):
        raise ContainerRefusal(400, "Input should be a valid dictionary", "Bad Request")
    return value
