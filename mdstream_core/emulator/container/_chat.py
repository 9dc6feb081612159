"""`/v1/chat/completions` and `/v1/completions`: answers written whole or as events."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from mdstream_core.emulator.brain import Answer, tokens
from mdstream_core.emulator.container._flavours import Flavour, Json

CREATED = 1_795_188_570  # the same every time: transcripts can be compared


@dataclass(frozen=True, slots=True)
class Said:
    """All choices of one answer, and what was asked."""

    id: str
    request: Json
    answers: Sequence[Answer]
    prompt_tokens: int
    cached_tokens: int = 0
    audio_tokens: int | None = None
    details: bool = True

    @property
    def model(self) -> str:
        return str(self.request.get("model") or "odsc-llm")

    def usage(self, said: int | None = None) -> Json:
        """Tokens so far (all of them unless `said` counts fewer)."""
        completion = sum(answer.size for answer in self.answers) if said is None else said
        reasoning = min(completion, sum(len(answer.reasoning) for answer in self.answers))
        prompt_details: Json = {"cached_tokens": self.cached_tokens}
        completion_details: Json = {"reasoning_tokens": reasoning}
        if self.audio_tokens is not None:
            prompt_details["audio_tokens"] = self.audio_tokens
            completion_details["audio_tokens"] = 0
        total = self.prompt_tokens + completion
        usage = {"prompt_tokens": self.prompt_tokens, "total_tokens": total, "completion_tokens": completion}
        details = {"prompt_tokens_details": prompt_details, "completion_tokens_details": completion_details}
        return {**usage, **details} if self.details else usage


def logprob(token: str, top: int = 0) -> Json:
    """A probability made up from the token's letters: always the same for the same token."""

    def entry(text: str, rank: int) -> Json:
        value = -round((sum(text.encode()) % 97 + 1) / 1000 + 4 * rank, 6)
        return {"token": text, "logprob": value, "bytes": list(text.encode())}

    others = [entry(f"{token}{'~' * rank}", rank) for rank in range(top)]
    return {**entry(token, 0), "top_logprobs": others}


def _logprobs(request: Json, piece: str | None) -> Json | None:
    if not request.get("logprobs") or piece is None:
        return None
    return {"content": [logprob(piece, request.get("top_logprobs") or 0)]}


def _written(flavour: Flavour, choice: Json) -> Json:
    """A choice as this server has it: with its nulls or without."""
    return {name: value for name, value in choice.items() if value is not None} if flavour.sparse else choice


class ChatWriter:
    """Writes the chunks of a chat answer as one server would."""

    def __init__(self, flavour: Flavour, said: Said) -> None:
        self._flavour = flavour
        self._said = said
        self._counted = 0
        options = said.request.get("stream_options") or {}
        self._usage = bool(options.get("include_usage")) and flavour.usage == "asked"
        self._continuous = self._usage and bool(options.get("continuous_usage_stats"))

    def chunks(self) -> Iterator[Json]:
        """Every chunk in order; several choices take turns."""
        turns = [self._choice(index, answer) for index, answer in enumerate(self._said.answers)]
        for row in zip_longest(*turns):
            yield from (chunk for chunk in row if chunk is not None)
        if self._usage:
            yield self._chunk([], usage=self._said.usage())

    def _chunk(self, choices: list[Json], **more: Any) -> Json:
        said = self._said
        chunk = {"id": said.id, "object": "chat.completion.chunk", "created": CREATED, "model": said.model}
        if self._continuous and choices:
            more["usage"] = said.usage(self._counted)
        return {**chunk, **self._flavour.top, "choices": choices, **more}

    def _delta(self, index: int, delta: Json, piece: str | None = None, finish: str | None = None) -> Json:
        probabilities = _logprobs(self._said.request, piece)
        choice = {"index": index, "delta": delta, "logprobs": probabilities, "finish_reason": finish}
        return _written(self._flavour, {**choice, **self._flavour.extra})

    def _choice(self, index: int, answer: Answer) -> Iterator[Json]:
        flavour = self._flavour
        if flavour.opening is not None:
            opening = {"index": index, "delta": flavour.opening, "logprobs": None, "finish_reason": None}
            yield self._chunk([_written(flavour, opening)], **flavour.opening_top)
        finish = flavour.finish(answer, self._said.request.get("tool_choice"))
        deltas = list(self._deltas(answer))
        tail: tuple[Json, str | None] = (flavour.last if flavour.last is not None else {}, None)
        if flavour.last is None and deltas:
            tail = deltas.pop()
        for delta, piece in deltas:
            self._counted += 1
            yield self._chunk([self._delta(index, delta, piece)])
        self._counted += 1
        last = self._delta(index, tail[0], tail[1], finish)
        if "token_ids" in flavour.extra:
            last["stop_reason"] = answer.stop_reason
        more = {"usage": self._said.usage()} if flavour.usage == "last" else {}
        yield self._chunk([last], **more, **flavour.last_top)

    def _deltas(self, answer: Answer) -> Iterator[tuple[Json, str | None]]:
        flavour = self._flavour
        yield from ((flavour.reasoning(piece), None) for piece in answer.reasoning)
        yield from ((flavour.text(piece), piece) for piece in answer.text)
        for index, call in enumerate(answer.tool_calls):
            yield from ((delta, None) for delta in flavour.calls(index, call))


def chat_body(flavour: Flavour, said: Said) -> Json:
    """The whole answer as one document."""
    choices = [_chat_choice(flavour, said, index, answer) for index, answer in enumerate(said.answers)]
    head = {"id": said.id, "object": "chat.completion", "created": CREATED, "model": said.model}
    return {**head, "choices": choices, "usage": said.usage()}


def _chat_choice(flavour: Flavour, said: Said, index: int, answer: Answer) -> Json:
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
    top = said.request.get("top_logprobs") or 0
    probabilities = {"content": [logprob(piece, top) for piece in answer.text]}
    choice: Json = {
        "index": index,
        "message": message,
        "logprobs": probabilities if said.request.get("logprobs") else None,
        "finish_reason": flavour.finish(answer, said.request.get("tool_choice")),
    }
    if "token_ids" in flavour.extra:
        choice["stop_reason"] = answer.stop_reason
    return _written(flavour, choice)


def _legacy_logprobs(request: Json, pieces: Sequence[str]) -> Json | None:
    top = request.get("logprobs")
    if top is None or top is False:
        return None
    entries = [logprob(piece, int(top)) for piece in pieces]
    offsets = [len("".join(pieces[:index])) for index in range(len(pieces))]
    return {
        "text_offset": offsets,
        "token_logprobs": [entry["logprob"] for entry in entries],
        "tokens": list(pieces),
        "top_logprobs": [{other["token"]: other["logprob"] for other in entry["top_logprobs"]} for entry in entries],
    }


def _text_choice(flavour: Flavour, request: Json, index: int, pieces: Sequence[str], finish: str | None) -> Json:
    probabilities = _legacy_logprobs(request, pieces)
    choice = {"index": index, "text": "".join(pieces), "logprobs": probabilities, "finish_reason": finish}
    return _written(flavour, choice)


def completion_chunks(flavour: Flavour, said: Said) -> Iterator[Json]:
    """The chunks of `/v1/completions`."""
    head = {"id": said.id, "object": "text_completion", "created": CREATED, "model": said.model}
    turns = [_text_chunks(flavour, said.request, index, answer) for index, answer in enumerate(said.answers)]
    for row in zip_longest(*turns):
        yield from ({**head, "choices": [choice]} for choice in row if choice is not None)
    if (said.request.get("stream_options") or {}).get("include_usage") and flavour.usage == "asked":
        yield {**head, "choices": [], "usage": said.usage()}


def _text_chunks(flavour: Flavour, request: Json, index: int, answer: Answer) -> Iterator[Json]:
    yield from (_text_choice(flavour, request, index, (piece,), None) for piece in answer.text[:-1])
    yield _text_choice(flavour, request, index, answer.text[-1:], answer.finish)


def completion_body(flavour: Flavour, said: Said) -> Json:
    """The whole answer of `/v1/completions`."""
    choices = [
        _text_choice(flavour, said.request, i, answer.text, answer.finish) for i, answer in enumerate(said.answers)
    ]
    head = {"id": said.id, "object": "text_completion", "created": CREATED, "model": said.model}
    return {**head, "choices": choices, "usage": said.usage()}


# What a route writes: chunks, and a body.
Writer = tuple[Callable[[Flavour, Said], Iterator[Json]], Callable[[Flavour, Said], Json]]
CHAT: Writer = (lambda flavour, said: ChatWriter(flavour, said).chunks(), chat_body)
COMPLETION: Writer = (completion_chunks, completion_body)


def count(text: str) -> int:
    """How many tokens a text is."""
    return len(tokens(text))
