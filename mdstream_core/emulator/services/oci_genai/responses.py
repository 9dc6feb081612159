"""Answers of OCI Generative AI as they stand on the wire, streamed and whole, each model family in its own way.

Sources: the models of the `oci` SDK 2.189; oracle/langchain-oracle (tests and `providers/`);
cohere-ai/cohere-python#756; BerriAI/litellm#39507, #40040, #30947; for `generateText` an article of 2024.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator.model import split_tokens

Json = dict[str, Any]

FAMILIES = ("meta.", "xai.", "openai.", "google.", "cohere.", "mistral.")

VERSION = "1.0"
CREATED = "2026-11-20T12:00:00.000Z"


def model_family(model: str) -> str:
    """Whose model it is, `""` where the id does not say."""
    return next((name for name in FAMILIES if model.startswith(name) or f".{name[:-1]}" in model), "")


@dataclass(frozen=True, slots=True)
class ChoiceOutput:
    """One choice."""

    text: str
    reasoning: str
    calls: list[Json]
    finish: str
    logprobs: list[Json]


def read_choices(document: Json) -> list[ChoiceOutput]:
    """The choices of an OpenAI answer, of chat or completions."""
    return [_choice(choice) for choice in document["choices"]]


def _choice(choice: Json) -> ChoiceOutput:
    message = choice.get("message") or {"content": choice.get("text")}
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    probabilities = (choice.get("logprobs") or {}).get("content") or []
    calls = message.get("tool_calls") or []
    return ChoiceOutput(
        message.get("content") or "", reasoning, calls, choice.get("finish_reason") or "stop", probabilities
    )


_PREDICTED = ("acceptedPredictionTokens", "rejectedPredictionTokens")


def convert_usage(document: Json) -> Json:
    """The tokens, in OCI's names."""
    counted = document.get("usage") or {}
    cached = (counted.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    reasoned = (counted.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "completionTokens": counted.get("completion_tokens", 0),
        "promptTokens": counted.get("prompt_tokens", 0),
        "totalTokens": counted.get("total_tokens", 0),
        "completionTokensDetails": {"reasoningTokens": reasoned, **dict.fromkeys(_PREDICTED, 0)},
        "promptTokensDetails": {"cachedTokens": cached},
    }


class PaddingGenerator:
    """Filler that hides how long the tokens are."""

    def __init__(self) -> None:
        self._number = count(1)

    def __call__(self, event: Json) -> Json:
        return {**event, "pad": "a" * (next(self._number) * 7 % 12 + 1)}


# How each family streams its tool calls: for each event, the entries of `toolCalls`.


def _name(call: Json) -> str:
    return str(call["function"]["name"])


def _arguments(call: Json) -> str:
    return str(call["function"]["arguments"])


def _flat(call: Json, arguments: str | None = None) -> Json:
    arguments = _arguments(call) if arguments is None else arguments
    return {"type": "FUNCTION", "id": call["id"], "name": _name(call), "arguments": arguments}


def _gpt(calls: list[Json]) -> Iterator[list[Json]]:
    for call in calls:
        yield [_flat(call, "")]
        yield from ([{"type": "FUNCTION", "arguments": piece}] for piece in split_tokens(_arguments(call)))


def _llama(calls: list[Json]) -> Iterator[list[Json]]:
    for call in calls:
        yield [_flat(call, "")]
        yield from ([{"type": "FUNCTION", "name": "", "arguments": piece}] for piece in split_tokens(_arguments(call)))


def _grok(calls: list[Json]) -> Iterator[list[Json]]:
    yield from ([_flat(call)] for call in calls)


def _gemini(calls: list[Json]) -> Iterator[list[Json]]:
    yield from ([{"type": "FUNCTION", "name": _name(call), "arguments": _arguments(call)}] for call in calls)


def _together(calls: list[Json]) -> Iterator[list[Json]]:
    if calls:
        yield [_flat(call) for call in calls]


_CALL_STYLES: dict[str, Callable[[list[Json]], Iterator[list[Json]]]] = {
    "openai.": _gpt, "meta.": _llama, "xai.": _grok, "google.": _gemini,
}  # fmt: skip


def _finish(model: str, output: ChoiceOutput) -> str:
    return "stop" if output.calls and model_family(model) == "meta." else output.finish


# GENERIC


def build_generic_events(model: str, document: Json, *, counted: bool) -> Iterator[Json]:
    """The events of a GENERIC stream."""
    padded, several = PaddingGenerator(), read_choices(document)
    for index, output in enumerate(several):
        for message in _generic_messages(model, output):
            yield padded({"index": index, "message": {"role": "ASSISTANT", **message}})
        end = {"finishReason": _finish(model, output)}
        yield padded({"index": index, **end} if len(several) > 1 else end)
    if counted:
        yield {"usage": convert_usage(document)}


def _generic_messages(model: str, output: ChoiceOutput) -> Iterator[Json]:
    yield from ({"reasoningContent": piece} for piece in split_tokens(output.reasoning))
    yield from ({"content": [{"type": "TEXT", "text": piece}]} for piece in split_tokens(output.text))
    way = _CALL_STYLES.get(model_family(model), _together)
    yield from ({"content": [{"type": "TEXT", "text": ""}], "toolCalls": entries} for entries in way(output.calls))


def build_generic_body(model: str, document: Json, request: Json) -> Json:
    """A GENERIC answer in one document."""
    wire = [_generic_choice(model, index, output) for index, output in enumerate(read_choices(document))]
    return {"apiFormat": "GENERIC", "timeCreated": CREATED, "choices": wire, "usage": convert_usage(document)}


def _generic_choice(model: str, index: int, output: ChoiceOutput) -> Json:
    message: Json = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": output.text}] if output.text else None}
    if output.reasoning:
        message["reasoningContent"] = output.reasoning
    if output.calls:
        flat = [_flat(call) for call in output.calls]
        message["toolCalls"] = [{**one, "id": None} for one in flat] if model_family(model) == "google." else flat
    return {"index": index, "message": message, "finishReason": _finish(model, output), "logprobs": _columns(output)}


def _columns(output: ChoiceOutput) -> Json | None:
    if not output.logprobs:
        return None
    tokens, logprobs = ([entry[name] for entry in output.logprobs] for name in ("token", "logprob"))
    return {"textOffset": None, "tokenLogprobs": logprobs, "tokens": tokens, "topLogprobs": None}


# COHERE

_COHERE_FINISH = {"stop": "COMPLETE", "tool_calls": "COMPLETE", "length": "MAX_TOKENS"}


def build_cohere_events(model: str, document: Json, request: Json, *, counted: bool) -> Iterator[Json]:
    """The events of a COHERE stream: the last one says everything again."""
    padded, output = PaddingGenerator(), read_choices(document)[0]
    for piece in split_tokens(output.text):
        yield padded({"apiFormat": "COHERE", "text": piece})
    whole = build_cohere_body(model, document, request)
    if output.calls:
        yield padded({"apiFormat": "COHERE", "text": "", "toolCalls": whole["toolCalls"]})
    if not counted:
        del whole["usage"]
    yield whole


def build_cohere_body(model: str, document: Json, request: Json) -> Json:
    """A COHERE answer in one document."""
    output = read_choices(document)[0]
    calls = [{"name": _name(call), "parameters": _parse_arguments(_arguments(call))} for call in output.calls]
    bot = {"role": "CHATBOT", "message": output.text, **({"toolCalls": calls} if calls else {})}
    history = [*(request.get("chatHistory") or ()), {"role": "USER", "message": request.get("message", "")}, bot]
    whole: Json = {"apiFormat": "COHERE", "text": output.text, "chatHistory": history}
    whole |= {"finishReason": _COHERE_FINISH.get(output.finish, "COMPLETE"), "usage": convert_usage(document)}
    if calls:
        whole["toolCalls"] = calls
    if documents := request.get("documents"):
        words = output.text.split(".")[0]
        ids = [str(document.get("id", at)) for at, document in enumerate(documents)]
        whole |= {"documents": documents}
        whole["citations"] = [{"start": 0, "end": len(words), "text": words, "documentIds": ids[:1]}]
    return whole


def _parse_arguments(arguments: str) -> Any:
    return _json.loads(arguments or "{}")


# COHEREV2

_V2_FINISH = {"stop": "COMPLETE", "tool_calls": "TOOL_CALL", "length": "MAX_TOKENS"}


def build_cohere_v2_events(model: str, document: Json, request: Json, *, counted: bool) -> Iterator[Json]:
    """The events of a COHEREV2 stream."""
    output = read_choices(document)[0]
    for content in _v2_parts(split_tokens(output.reasoning), split_tokens(output.text)):
        yield {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", "content": [content]}}
    if output.calls:
        yield {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", "toolCalls": _v2_calls(output)}}
    last: Json = {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT"}}
    yield (
        last
        | {"finishReason": _V2_FINISH.get(output.finish, "COMPLETE")}
        | ({"usage": convert_usage(document)} if counted else {})
    )


def _v2_parts(reasoning: tuple[str, ...], text: tuple[str, ...]) -> Iterator[Json]:
    yield from ({"type": "THINKING", "thinking": piece} for piece in reasoning)
    yield from ({"type": "TEXT", "text": piece} for piece in text)


def _v2_calls(output: ChoiceOutput) -> list[Json]:
    return [{"id": call["id"], "type": "FUNCTION", "function": call["function"]} for call in output.calls]


def build_cohere_v2_body(model: str, document: Json, request: Json) -> Json:
    """A COHEREV2 answer in one document."""
    output = read_choices(document)[0]
    parts = _v2_parts((output.reasoning,) if output.reasoning else (), (output.text,) if output.text else ())
    message: Json = {"role": "ASSISTANT", "content": list(parts)}
    if output.calls:
        message["toolCalls"] = _v2_calls(output)
    ends = {"finishReason": _V2_FINISH.get(output.finish, "COMPLETE"), "usage": convert_usage(document)}
    return {"apiFormat": "COHEREV2", "id": document["id"], "message": message, **ends}


# generateText


def build_generate_text_events(document: Json, runtime: str) -> Iterator[Json]:
    """The events of a `generateText` stream."""
    for index, output in enumerate(read_choices(document)):
        which = {"id": document["id"]} if runtime == "COHERE" and not index else {"id": document["id"], "index": index}
        yield from ({**which, "text": piece} for piece in split_tokens(output.text))
        yield {**which, "text": "", "finishReason": _text_finish(output, runtime)}


def _text_finish(output: ChoiceOutput, runtime: str) -> str:
    return _COHERE_FINISH.get(output.finish, "COMPLETE") if runtime == "COHERE" else output.finish


def build_generate_text_body(document: Json, runtime: str, prompt: str) -> Json:
    """A `generateText` answer in one document."""
    output = list(enumerate(read_choices(document)))
    if runtime == "LLAMA":
        wire = [{"index": i, "text": one.text, "finishReason": one.finish, "logprobs": None} for i, one in output]
        return {"runtimeType": "LLAMA", "created": CREATED, "choices": wire}
    texts = [
        {
            "id": f"{document['id']}-{i}",
            "text": one.text,
            "likelihood": None,
            "finishReason": _text_finish(one, runtime),
        }
        for i, one in output
    ]
    return {"runtimeType": "COHERE", "generatedTexts": texts, "timeCreated": CREATED, "prompt": prompt}
