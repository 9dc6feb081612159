"""Responses of OCI Generative AI, streamed and not, in the variant of each model family.

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
    """Return the family of a model; `""` if its id does not show it."""
    return next((name for name in FAMILIES if model.startswith(name) or f".{name[:-1]}" in model), "")


@dataclass(frozen=True, slots=True)
class ChoiceOutput:
    """The output of one choice."""

    text: str
    reasoning: str
    calls: list[Json]
    finish: str
    logprobs: list[Json]


def read_choices(document: Json) -> list[ChoiceOutput]:
    """Read the choices of an OpenAI response, of chat or completions."""
    return [_parse_choice(choice) for choice in document["choices"]]


def _parse_choice(choice: Json) -> ChoiceOutput:
    message = choice.get("message") or {"content": choice.get("text")}
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    probabilities = (choice.get("logprobs") or {}).get("content") or []
    calls = message.get("tool_calls") or []
    return ChoiceOutput(
        message.get("content") or "", reasoning, calls, choice.get("finish_reason") or "stop", probabilities
    )


_PREDICTION_FIELDS = ("acceptedPredictionTokens", "rejectedPredictionTokens")


def convert_usage(document: Json) -> Json:
    """Convert the usage to OCI's names."""
    usage = document.get("usage") or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "completionTokens": usage.get("completion_tokens", 0),
        "promptTokens": usage.get("prompt_tokens", 0),
        "totalTokens": usage.get("total_tokens", 0),
        "completionTokensDetails": {"reasoningTokens": reasoning, **dict.fromkeys(_PREDICTION_FIELDS, 0)},
        "promptTokensDetails": {"cachedTokens": cached},
    }


class PaddingGenerator:
    """Adds padding to events, which hides the lengths of the tokens."""

    def __init__(self) -> None:
        self._number = count(1)

    def __call__(self, event: Json) -> Json:
        return {**event, "pad": "a" * (next(self._number) * 7 % 12 + 1)}


# The tool calls of a stream in each family: for each event, the entries of `toolCalls`.


def _name(call: Json) -> str:
    return str(call["function"]["name"])


def _arguments(call: Json) -> str:
    return str(call["function"]["arguments"])


def _tool_call(call: Json, arguments: str | None = None) -> Json:
    arguments = _arguments(call) if arguments is None else arguments
    return {"type": "FUNCTION", "id": call["id"], "name": _name(call), "arguments": arguments}


def _gpt_calls(calls: list[Json]) -> Iterator[list[Json]]:
    for call in calls:
        yield [_tool_call(call, "")]
        yield from ([{"type": "FUNCTION", "arguments": token}] for token in split_tokens(_arguments(call)))


def _llama_calls(calls: list[Json]) -> Iterator[list[Json]]:
    for call in calls:
        yield [_tool_call(call, "")]
        yield from ([{"type": "FUNCTION", "name": "", "arguments": token}] for token in split_tokens(_arguments(call)))


def _grok_calls(calls: list[Json]) -> Iterator[list[Json]]:
    yield from ([_tool_call(call)] for call in calls)


def _gemini_calls(calls: list[Json]) -> Iterator[list[Json]]:
    yield from ([{"type": "FUNCTION", "name": _name(call), "arguments": _arguments(call)}] for call in calls)


def _calls_at_once(calls: list[Json]) -> Iterator[list[Json]]:
    if calls:
        yield [_tool_call(call) for call in calls]


_CALL_STREAMS: dict[str, Callable[[list[Json]], Iterator[list[Json]]]] = {
    "openai.": _gpt_calls, "meta.": _llama_calls, "xai.": _grok_calls, "google.": _gemini_calls,
}  # fmt: skip


def _finish_reason(model: str, output: ChoiceOutput) -> str:
    return "stop" if output.calls and model_family(model) == "meta." else output.finish


# GENERIC


def build_generic_events(model: str, document: Json, *, include_usage: bool) -> Iterator[Json]:
    """Build the events of a GENERIC stream."""
    add_padding, outputs = PaddingGenerator(), read_choices(document)
    for index, output in enumerate(outputs):
        for message in _generic_messages(model, output):
            yield add_padding({"index": index, "message": {"role": "ASSISTANT", **message}})
        end = {"finishReason": _finish_reason(model, output)}
        yield add_padding({"index": index, **end} if len(outputs) > 1 else end)
    if include_usage:
        yield {"usage": convert_usage(document)}


def _generic_messages(model: str, output: ChoiceOutput) -> Iterator[Json]:
    yield from ({"reasoningContent": token} for token in split_tokens(output.reasoning))
    yield from ({"content": [{"type": "TEXT", "text": token}]} for token in split_tokens(output.text))
    stream_calls = _CALL_STREAMS.get(model_family(model), _calls_at_once)
    yield from (
        {"content": [{"type": "TEXT", "text": ""}], "toolCalls": entries} for entries in stream_calls(output.calls)
    )


def build_generic_body(model: str, document: Json, request: Json) -> Json:
    """Build a GENERIC response without a stream."""
    choices = [_generic_choice(model, index, output) for index, output in enumerate(read_choices(document))]
    return {"apiFormat": "GENERIC", "timeCreated": CREATED, "choices": choices, "usage": convert_usage(document)}


def _generic_choice(model: str, index: int, output: ChoiceOutput) -> Json:
    message: Json = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": output.text}] if output.text else None}
    if output.reasoning:
        message["reasoningContent"] = output.reasoning
    if output.calls:
        flat = [_tool_call(call) for call in output.calls]
        message["toolCalls"] = [{**call, "id": None} for call in flat] if model_family(model) == "google." else flat
    return {
        "index": index,
        "message": message,
        "finishReason": _finish_reason(model, output),
        "logprobs": _logprob_columns(output),
    }


def _logprob_columns(output: ChoiceOutput) -> Json | None:
    if not output.logprobs:
        return None
    tokens, logprobs = ([entry[name] for entry in output.logprobs] for name in ("token", "logprob"))
    return {"textOffset": None, "tokenLogprobs": logprobs, "tokens": tokens, "topLogprobs": None}


# COHERE

_COHERE_FINISH = {"stop": "COMPLETE", "tool_calls": "COMPLETE", "length": "MAX_TOKENS"}


def build_cohere_events(model: str, document: Json, request: Json, *, include_usage: bool) -> Iterator[Json]:
    """Build the events of a COHERE stream; the last one repeats the whole response."""
    add_padding, output = PaddingGenerator(), read_choices(document)[0]
    for token in split_tokens(output.text):
        yield add_padding({"apiFormat": "COHERE", "text": token})
    whole = build_cohere_body(model, document, request)
    if output.calls:
        yield add_padding({"apiFormat": "COHERE", "text": "", "toolCalls": whole["toolCalls"]})
    if not include_usage:
        del whole["usage"]
    yield whole


def build_cohere_body(model: str, document: Json, request: Json) -> Json:
    """Build a COHERE response without a stream."""
    output = read_choices(document)[0]
    calls = [{"name": _name(call), "parameters": _parse_arguments(_arguments(call))} for call in output.calls]
    bot_message = {"role": "CHATBOT", "message": output.text, **({"toolCalls": calls} if calls else {})}
    history = [
        *(request.get("chatHistory") or ()),
        {"role": "USER", "message": request.get("message", "")},
        bot_message,
    ]
    whole: Json = {"apiFormat": "COHERE", "text": output.text, "chatHistory": history}
    whole |= {"finishReason": _COHERE_FINISH.get(output.finish, "COMPLETE"), "usage": convert_usage(document)}
    if calls:
        whole["toolCalls"] = calls
    if documents := request.get("documents"):
        sentence = output.text.split(".")[0]
        ids = [str(document.get("id", at)) for at, document in enumerate(documents)]
        whole |= {"documents": documents}
        whole["citations"] = [{"start": 0, "end": len(sentence), "text": sentence, "documentIds": ids[:1]}]
    return whole


def _parse_arguments(arguments: str) -> Any:
    return _json.loads(arguments or "{}")


# COHEREV2

_V2_FINISH = {"stop": "COMPLETE", "tool_calls": "TOOL_CALL", "length": "MAX_TOKENS"}


def build_cohere_v2_events(model: str, document: Json, request: Json, *, include_usage: bool) -> Iterator[Json]:
    """Build the events of a COHEREV2 stream."""
    output = read_choices(document)[0]
    for content in _v2_parts(split_tokens(output.reasoning), split_tokens(output.text)):
        yield {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", "content": [content]}}
    if output.calls:
        yield {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", "toolCalls": _v2_calls(output)}}
    last: Json = {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT"}}
    yield (
        last
        | {"finishReason": _V2_FINISH.get(output.finish, "COMPLETE")}
        | ({"usage": convert_usage(document)} if include_usage else {})
    )


def _v2_parts(reasoning: tuple[str, ...], text: tuple[str, ...]) -> Iterator[Json]:
    yield from ({"type": "THINKING", "thinking": token} for token in reasoning)
    yield from ({"type": "TEXT", "text": token} for token in text)


def _v2_calls(output: ChoiceOutput) -> list[Json]:
    return [{"id": call["id"], "type": "FUNCTION", "function": call["function"]} for call in output.calls]


def build_cohere_v2_body(model: str, document: Json, request: Json) -> Json:
    """Build a COHEREV2 response without a stream."""
    output = read_choices(document)[0]
    parts = _v2_parts((output.reasoning,) if output.reasoning else (), (output.text,) if output.text else ())
    message: Json = {"role": "ASSISTANT", "content": list(parts)}
    if output.calls:
        message["toolCalls"] = _v2_calls(output)
    end = {"finishReason": _V2_FINISH.get(output.finish, "COMPLETE"), "usage": convert_usage(document)}
    return {"apiFormat": "COHEREV2", "id": document["id"], "message": message, **end}


# generateText


def build_generate_text_events(document: Json, runtime: str) -> Iterator[Json]:
    """Build the events of a `generateText` stream."""
    for index, output in enumerate(read_choices(document)):
        base = {"id": document["id"]} if runtime == "COHERE" and not index else {"id": document["id"], "index": index}
        yield from ({**base, "text": token} for token in split_tokens(output.text))
        yield {**base, "text": "", "finishReason": _generate_text_finish(output, runtime)}


def _generate_text_finish(output: ChoiceOutput, runtime: str) -> str:
    return _COHERE_FINISH.get(output.finish, "COMPLETE") if runtime == "COHERE" else output.finish


def build_generate_text_body(document: Json, runtime: str, prompt: str) -> Json:
    """Build a `generateText` response without a stream."""
    outputs = list(enumerate(read_choices(document)))
    if runtime == "LLAMA":
        choices = [{"index": i, "text": o.text, "finishReason": o.finish, "logprobs": None} for i, o in outputs]
        return {"runtimeType": "LLAMA", "created": CREATED, "choices": choices}
    texts = [
        {
            "id": f"{document['id']}-{i}",
            "text": output.text,
            "likelihood": None,
            "finishReason": _generate_text_finish(output, runtime),
        }
        for i, output in outputs
    ]
    return {"runtimeType": "COHERE", "generatedTexts": texts, "timeCreated": CREATED, "prompt": prompt}
