"""`/v1/chat/completions` and `/v1/completions`: answers written whole or as events."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from mdstream_core.emulator.model import ModelOutput, split_tokens
from mdstream_core.emulator.model_server._flavours import Json, ServerFlavour

CREATED = 1_795_188_570  # the same every time: transcripts can be compared


@dataclass(frozen=True, slots=True)
class Completion:
    """All choices of one answer, and what was asked."""

    id: str
    request: Json
    outputs: Sequence[ModelOutput]
    prompt_tokens: int
    cached_tokens: int = 0
    audio_tokens: int | None = None
    details: bool = True

    @property
    def model(self) -> str:
        return str(self.request.get("model") or "odsc-llm")

    def usage(self, output_tokens: int | None = None) -> Json:
        """Tokens so far (all of them unless `output_tokens` counts fewer)."""
        completion = sum(answer.token_count for answer in self.outputs) if output_tokens is None else output_tokens
        reasoning = min(completion, sum(len(answer.reasoning) for answer in self.outputs))
        prompt_details: Json = {"cached_tokens": self.cached_tokens}
        completion_details: Json = {"reasoning_tokens": reasoning}
        if self.audio_tokens is not None:
            prompt_details["audio_tokens"] = self.audio_tokens
            completion_details["audio_tokens"] = 0
        total = self.prompt_tokens + completion
        usage = {"prompt_tokens": self.prompt_tokens, "total_tokens": total, "completion_tokens": completion}
        details = {"prompt_tokens_details": prompt_details, "completion_tokens_details": completion_details}
        return {**usage, **details} if self.details else usage


def fake_logprob(token: str, top: int = 0) -> Json:
    """A probability made up from the token's letters: always the same for the same token."""

    def entry(text: str, rank: int) -> Json:
        value = -round((sum(text.encode()) % 97 + 1) / 1000 + 4 * rank, 6)
        return {"token": text, "logprob": value, "bytes": list(text.encode())}

    others = [entry(f"{token}{'~' * rank}", rank) for rank in range(top)]
    return {**entry(token, 0), "top_logprobs": others}


def _logprobs(request: Json, piece: str | None) -> Json | None:
    if not request.get("logprobs") or piece is None:
        return None
    return {"content": [fake_logprob(piece, request.get("top_logprobs") or 0)]}


def _format_choice(flavour: ServerFlavour, choice: Json) -> Json:
    """A choice as this server has it: with its nulls or without."""
    return {name: value for name, value in choice.items() if value is not None} if flavour.omits_nulls else choice


class ChatChunkWriter:
    """Writes the chunks of a chat answer as one server would."""

    def __init__(self, flavour: ServerFlavour, completion: Completion) -> None:
        self._flavour = flavour
        self._completion = completion
        self._token_count = 0
        options = completion.request.get("stream_options") or {}
        self._usage = bool(options.get("include_usage")) and flavour.usage == "asked"
        self._continuous = self._usage and bool(options.get("continuous_usage_stats"))

    def chunks(self) -> Iterator[Json]:
        """Every chunk in order; several choices take turns."""
        turns = [self._choice(index, answer) for index, answer in enumerate(self._completion.outputs)]
        for row in zip_longest(*turns):
            yield from (chunk for chunk in row if chunk is not None)
        if self._usage:
            yield self._chunk([], usage=self._completion.usage())

    def _chunk(self, choices: list[Json], **more: Any) -> Json:
        said = self._completion
        chunk = {"id": said.id, "object": "chat.completion.chunk", "created": CREATED, "model": said.model}
        if self._continuous and choices:
            more["usage"] = said.usage(self._token_count)
        return {**chunk, **self._flavour.top, "choices": choices, **more}

    def _delta(self, index: int, delta: Json, piece: str | None = None, finish: str | None = None) -> Json:
        probabilities = _logprobs(self._completion.request, piece)
        choice = {"index": index, "delta": delta, "logprobs": probabilities, "finish_reason": finish}
        return _format_choice(self._flavour, {**choice, **self._flavour.extra})

    def _choice(self, index: int, answer: ModelOutput) -> Iterator[Json]:
        flavour = self._flavour
        if flavour.opening is not None:
            opening = {"index": index, "delta": flavour.opening, "logprobs": None, "finish_reason": None}
            yield self._chunk([_format_choice(flavour, opening)], **flavour.opening_top)
        finish = flavour.finish(answer, self._completion.request.get("tool_choice"))
        deltas = list(self._deltas(answer))
        tail: tuple[Json, str | None] = (flavour.last if flavour.last is not None else {}, None)
        if flavour.last is None and deltas:
            tail = deltas.pop()
        for delta, piece in deltas:
            self._token_count += 1
            yield self._chunk([self._delta(index, delta, piece)])
        self._token_count += 1
        last = self._delta(index, tail[0], tail[1], finish)
        if "token_ids" in flavour.extra:
            last["stop_reason"] = answer.stop_reason
        more = {"usage": self._completion.usage()} if flavour.usage == "last" else {}
        yield self._chunk([last], **more, **flavour.last_top)

    def _deltas(self, answer: ModelOutput) -> Iterator[tuple[Json, str | None]]:
        flavour = self._flavour
        yield from ((flavour.reasoning(piece), None) for piece in answer.reasoning)
        yield from ((flavour.text(piece), piece) for piece in answer.text)
        for index, call in enumerate(answer.tool_calls):
            yield from ((delta, None) for delta in flavour.calls(index, call))


def build_chat_body(flavour: ServerFlavour, completion: Completion) -> Json:
    """The whole answer as one document."""
    choices = [_chat_choice(flavour, completion, index, answer) for index, answer in enumerate(completion.outputs)]
    head = {"id": completion.id, "object": "chat.completion", "created": CREATED, "model": completion.model}
    return {**head, "choices": choices, "usage": completion.usage()}


def _chat_choice(flavour: ServerFlavour, completion: Completion, index: int, answer: ModelOutput) -> Json:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": "".join(call.arguments)}}
        for call in answer.tool_calls
    ]
    text = "".join(answer.text)
    message: Json = {"role": "assistant", "content": text if text or not calls else None}
    if calls:
        message["tool_calls"] = calls
    if answer.reasoning:
        message |= {name: text for name, text in flavour.reasoning("".join(answer.reasoning)).items() if text}
        message["content"] = text or None
    top = completion.request.get("top_logprobs") or 0
    probabilities = {"content": [fake_logprob(piece, top) for piece in answer.text]}
    choice: Json = {
        "index": index,
        "message": message,
        "logprobs": probabilities if completion.request.get("logprobs") else None,
        "finish_reason": flavour.finish(answer, completion.request.get("tool_choice")),
    }
    if "token_ids" in flavour.extra:
        choice["stop_reason"] = answer.stop_reason
    return _format_choice(flavour, choice)


def _legacy_logprobs(request: Json, pieces: Sequence[str]) -> Json | None:
    top = request.get("logprobs")
    if top is None or top is False:
        return None
    entries = [fake_logprob(piece, int(top)) for piece in pieces]
    offsets = [len("".join(pieces[:index])) for index in range(len(pieces))]
    return {
        "text_offset": offsets,
        "token_logprobs": [entry["logprob"] for entry in entries],
        "tokens": list(pieces),
        "top_logprobs": [{other["token"]: other["logprob"] for other in entry["top_logprobs"]} for entry in entries],
    }


def _text_choice(flavour: ServerFlavour, request: Json, index: int, pieces: Sequence[str], finish: str | None) -> Json:
    probabilities = _legacy_logprobs(request, pieces)
    choice = {"index": index, "text": "".join(pieces), "logprobs": probabilities, "finish_reason": finish}
    return _format_choice(flavour, choice)


def build_completion_chunks(flavour: ServerFlavour, completion: Completion) -> Iterator[Json]:
    """The chunks of `/v1/completions`."""
    head = {"id": completion.id, "object": "text_completion", "created": CREATED, "model": completion.model}
    turns = [
        _text_chunks(flavour, completion.request, index, answer) for index, answer in enumerate(completion.outputs)
    ]
    for row in zip_longest(*turns):
        yield from ({**head, "choices": [choice]} for choice in row if choice is not None)
    if (completion.request.get("stream_options") or {}).get("include_usage") and flavour.usage == "asked":
        yield {**head, "choices": [], "usage": completion.usage()}


def _text_chunks(flavour: ServerFlavour, request: Json, index: int, answer: ModelOutput) -> Iterator[Json]:
    yield from (_text_choice(flavour, request, index, (piece,), None) for piece in answer.text[:-1])
    yield _text_choice(flavour, request, index, answer.text[-1:], answer.finish)


def build_completion_body(flavour: ServerFlavour, completion: Completion) -> Json:
    """The whole answer of `/v1/completions`."""
    choices = [
        _text_choice(flavour, completion.request, i, answer.text, answer.finish)
        for i, answer in enumerate(completion.outputs)
    ]
    head = {"id": completion.id, "object": "text_completion", "created": CREATED, "model": completion.model}
    return {**head, "choices": choices, "usage": completion.usage()}


# What a route writes: chunks, and a body.
Writer = tuple[Callable[[ServerFlavour, Completion], Iterator[Json]], Callable[[ServerFlavour, Completion], Json]]
CHAT: Writer = (lambda flavour, said: ChatChunkWriter(flavour, said).chunks(), build_chat_body)
COMPLETION: Writer = (build_completion_chunks, build_completion_body)


def count_tokens(text: str) -> int:
    """How many tokens a text is."""
    return len(split_tokens(text))
