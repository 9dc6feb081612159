"""`/v1/chat/completions` and `/v1/completions`: responses as one document or as chunks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from mdstream_core.emulator.model import ModelOutput, split_tokens
from mdstream_core.emulator.model_server._flavours import Json, ServerFlavour

CREATED = 1_795_188_570  # constant, so that transcripts can be compared


@dataclass(frozen=True, slots=True)
class Completion:
    """All choices of one response, with the request."""

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
        """Build the usage; `output_tokens` is the number of tokens so far, by default all of them."""
        completion = sum(output.token_count for output in self.outputs) if output_tokens is None else output_tokens
        reasoning = min(completion, sum(len(output.reasoning) for output in self.outputs))
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
    """Derive a log probability from the token's letters, the same for the same token."""

    def entry(text: str, rank: int) -> Json:
        value = -round((sum(text.encode()) % 97 + 1) / 1000 + 4 * rank, 6)
        return {"token": text, "logprob": value, "bytes": list(text.encode())}

    alternatives = [entry(f"{token}{'~' * rank}", rank) for rank in range(top)]
    return {**entry(token, 0), "top_logprobs": alternatives}


def _logprobs(request: Json, token: str | None) -> Json | None:
    if not request.get("logprobs") or token is None:
        return None
    return {"content": [fake_logprob(token, request.get("top_logprobs") or 0)]}


def _format_choice(flavour: ServerFlavour, choice: Json) -> Json:
    """Keep or remove the fields that are null, as the server does."""
    return {name: value for name, value in choice.items() if value is not None} if flavour.omits_nulls else choice


class ChatChunkWriter:
    """Writes the chunks of a chat response in the format of one server."""

    def __init__(self, flavour: ServerFlavour, completion: Completion) -> None:
        self._flavour = flavour
        self._completion = completion
        self._token_count = 0
        options = completion.request.get("stream_options") or {}
        self._usage = bool(options.get("include_usage")) and flavour.usage == "requested"
        self._continuous = self._usage and bool(options.get("continuous_usage_stats"))

    def chunks(self) -> Iterator[Json]:
        """Yield every chunk in order; the choices alternate."""
        streams = [self._choice(index, output) for index, output in enumerate(self._completion.outputs)]
        for row in zip_longest(*streams):
            yield from (chunk for chunk in row if chunk is not None)
        if self._usage:
            yield self._chunk([], usage=self._completion.usage())

    def _chunk(self, choices: list[Json], **extra: Any) -> Json:
        completion = self._completion
        chunk = {"id": completion.id, "object": "chat.completion.chunk", "created": CREATED, "model": completion.model}
        if self._continuous and choices:
            extra["usage"] = completion.usage(self._token_count)
        return {**chunk, **self._flavour.top, "choices": choices, **extra}

    def _delta(self, index: int, delta: Json, token: str | None = None, finish: str | None = None) -> Json:
        probabilities = _logprobs(self._completion.request, token)
        choice = {"index": index, "delta": delta, "logprobs": probabilities, "finish_reason": finish}
        return _format_choice(self._flavour, {**choice, **self._flavour.extra})

    def _choice(self, index: int, output: ModelOutput) -> Iterator[Json]:
        flavour = self._flavour
        if flavour.opening is not None:
            opening = {"index": index, "delta": flavour.opening, "logprobs": None, "finish_reason": None}
            yield self._chunk([_format_choice(flavour, opening)], **flavour.opening_top)
        finish = flavour.finish(output, self._completion.request.get("tool_choice"))
        deltas = list(self._deltas(output))
        last_delta: tuple[Json, str | None] = (flavour.last if flavour.last is not None else {}, None)
        if flavour.last is None and deltas:
            last_delta = deltas.pop()
        for delta, token in deltas:
            self._token_count += 1
            yield self._chunk([self._delta(index, delta, token)])
        self._token_count += 1
        last = self._delta(index, last_delta[0], last_delta[1], finish)
        if "token_ids" in flavour.extra:
            last["stop_reason"] = output.stop_reason
        extra = {"usage": self._completion.usage()} if flavour.usage == "last" else {}
        yield self._chunk([last], **extra, **flavour.last_top)

    def _deltas(self, output: ModelOutput) -> Iterator[tuple[Json, str | None]]:
        flavour = self._flavour
        yield from ((flavour.reasoning(token), None) for token in output.reasoning)
        yield from ((flavour.text(token), token) for token in output.text)
        yield from (({"refusal": token}, None) for token in output.refusal)
        for index, call in enumerate(output.tool_calls):
            yield from ((delta, None) for delta in flavour.calls(index, call))


def build_chat_body(flavour: ServerFlavour, completion: Completion) -> Json:
    """Build a chat response without a stream."""
    choices = [_chat_choice(flavour, completion, index, output) for index, output in enumerate(completion.outputs)]
    head = {"id": completion.id, "object": "chat.completion", "created": CREATED, "model": completion.model}
    return {**head, "choices": choices, "usage": completion.usage()}


def _chat_choice(flavour: ServerFlavour, completion: Completion, index: int, output: ModelOutput) -> Json:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": "".join(call.arguments)}}
        for call in output.tool_calls
    ]
    text = "".join(output.text)
    message: Json = {"role": "assistant", "content": text if text or not (calls or output.refusal) else None}
    if output.refusal:
        message["refusal"] = "".join(output.refusal)
    if calls:
        message["tool_calls"] = calls
    if output.reasoning:
        message |= {name: text for name, text in flavour.reasoning("".join(output.reasoning)).items() if text}
        message["content"] = text or None
    top = completion.request.get("top_logprobs") or 0
    probabilities = {"content": [fake_logprob(token, top) for token in output.text]}
    choice: Json = {
        "index": index,
        "message": message,
        "logprobs": probabilities if completion.request.get("logprobs") else None,
        "finish_reason": flavour.finish(output, completion.request.get("tool_choice")),
    }
    if "token_ids" in flavour.extra:
        choice["stop_reason"] = output.stop_reason
    return _format_choice(flavour, choice)


def _legacy_logprobs(request: Json, tokens: Sequence[str]) -> Json | None:
    top = request.get("logprobs")
    if top is None or top is False:
        return None
    entries = [fake_logprob(token, int(top)) for token in tokens]
    offsets = [len("".join(tokens[:index])) for index in range(len(tokens))]
    return {
        "text_offset": offsets,
        "token_logprobs": [entry["logprob"] for entry in entries],
        "tokens": list(tokens),
        "top_logprobs": [{other["token"]: other["logprob"] for other in entry["top_logprobs"]} for entry in entries],
    }


def _text_choice(flavour: ServerFlavour, request: Json, index: int, tokens: Sequence[str], finish: str | None) -> Json:
    probabilities = _legacy_logprobs(request, tokens)
    choice = {"index": index, "text": "".join(tokens), "logprobs": probabilities, "finish_reason": finish}
    return _format_choice(flavour, choice)


def build_completion_chunks(flavour: ServerFlavour, completion: Completion) -> Iterator[Json]:
    """Build the chunks of `/v1/completions`."""
    head = {"id": completion.id, "object": "text_completion", "created": CREATED, "model": completion.model}
    streams = [
        _text_chunks(flavour, completion.request, index, output) for index, output in enumerate(completion.outputs)
    ]
    for row in zip_longest(*streams):
        yield from ({**head, "choices": [choice]} for choice in row if choice is not None)
    if (completion.request.get("stream_options") or {}).get("include_usage") and flavour.usage == "requested":
        yield {**head, "choices": [], "usage": completion.usage()}


def _text_chunks(flavour: ServerFlavour, request: Json, index: int, output: ModelOutput) -> Iterator[Json]:
    yield from (_text_choice(flavour, request, index, (token,), None) for token in output.text[:-1])
    yield _text_choice(flavour, request, index, output.text[-1:], output.finish)


def build_completion_body(flavour: ServerFlavour, completion: Completion) -> Json:
    """Build a response of `/v1/completions` without a stream."""
    choices = [
        _text_choice(flavour, completion.request, i, output.text, output.finish)
        for i, output in enumerate(completion.outputs)
    ]
    head = {"id": completion.id, "object": "text_completion", "created": CREATED, "model": completion.model}
    return {**head, "choices": choices, "usage": completion.usage()}


# The functions of a route that write chunks and a whole body.
Writer = tuple[Callable[[ServerFlavour, Completion], Iterator[Json]], Callable[[ServerFlavour, Completion], Json]]
CHAT: Writer = (lambda flavour, completion: ChatChunkWriter(flavour, completion).chunks(), build_chat_body)
COMPLETION: Writer = (build_completion_chunks, build_completion_body)


def count_tokens(text: str) -> int:
    """Return the number of tokens of a text."""
    return len(split_tokens(text))
