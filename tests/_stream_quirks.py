"""Quirks of real servers: functions that change the payloads of a stream without changing the response.

Each quirk names the server or the report where it was observed; further sources are in `mdstream_core.dialects`.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from _stream_grammar import Payload, Payloads

Bend = Callable[[Payloads, Random], Payloads]

NOT_YET = [
    "null",
    "None",
    "none",
    "NULL",
    "undefined",
    "",
    "nil",
    {},
    {"type": None},
    "FINISH_REASON_UNSPECIFIED",
    False,
    0,
]


@dataclass(frozen=True)
class Quirk:
    """One quirk.

    Attributes:
        bend: Changes the payloads; it may change them in place.
        dialects: The names of the dialects with this quirk.
        source: The server or report where it was observed.
    """

    bend: Bend
    dialects: frozenset[str]
    source: str


QUIRKS: dict[str, Quirk] = {}

_OPENAI = ("openai-chat",)
_BOTH_OPENAI = ("openai-chat", "openai-completions")
_OCI = ("oci-generic", "oci-cohere", "oci-cohere-v2", "oci-generate-text-llama")


def _quirk(name: str, dialects: tuple[str, ...], source: str) -> Callable[[Bend], Bend]:
    def add(bend: Bend) -> Bend:
        QUIRKS[name] = Quirk(bend, frozenset(dialects), source)
        return bend

    return add


def _choices(payloads: Payloads) -> Iterator[dict[str, Any]]:
    for payload in payloads:
        if isinstance(payload, dict):
            yield from payload.get("choices") or ()


def _deltas(payloads: Payloads) -> Iterator[dict[str, Any]]:
    return (choice["delta"] for choice in _choices(payloads) if "delta" in choice)


def _entries(payloads: Payloads) -> Iterator[dict[str, Any]]:
    return (entry for delta in _deltas(payloads) for entry in delta.get("tool_calls") or ())


def _is_call(payload: Payload) -> bool:
    return isinstance(payload, dict) and any(True for _ in _entries([payload]))


# Finish reasons


@_quirk("a word for 'not yet' in every chunk", _BOTH_OPENAI, "PowerShell/AIShell#350 (KoboldCpp)")
def not_yet(payloads: Payloads, random: Random) -> Payloads:
    word = random.choice(NOT_YET)
    for choice in _choices(payloads):
        choice["finish_reason"] = choice["finish_reason"] or copy.copy(word)
    return payloads


@_quirk("a word for 'not yet' in every event", _OCI, "the same, behind OCI Generative AI")
def oci_not_yet(payloads: Payloads, random: Random) -> Payloads:
    word = random.choice(NOT_YET)
    for payload in payloads:
        if isinstance(payload, dict) and not payload.get("finishReason") and "usage" not in payload:
            payload["finishReason"] = word
    return payloads


@_quirk("a word for 'not yet' beside each token", ("tgi", "auto"), "the same, of a container")
def tgi_not_yet(payloads: Payloads, random: Random) -> Payloads:
    word = random.choice(NOT_YET)
    for payload in payloads[:-1]:
        payload["details"] = {"finish_reason": word}
    return payloads


@_quirk("the reason in capitals", (*_BOTH_OPENAI, "oci-generic"), "gateways in front of Gemini; OCI itself")
def capitals(payloads: Payloads, random: Random) -> Payloads:
    for wire in [*_choices(payloads), *(one for one in payloads if isinstance(one, dict))]:
        for name in ("finish_reason", "finishReason"):
            if isinstance(wire.get(name), str):
                wire[name] = wire[name].upper()
    return payloads


@_quirk("the reason as an object", _BOTH_OPENAI, "gateways that pass on typed reasons")
def reason_object(payloads: Payloads, random: Random) -> Payloads:
    name = random.choice(["type", "reason"])
    for choice in _choices(payloads):
        if choice["finish_reason"] and isinstance(choice["finish_reason"], str):
            choice["finish_reason"] = {name: choice["finish_reason"], "stop": None}
    return payloads


@_quirk("the reason under another server's name", _BOTH_OPENAI, "TGI, LMI, Anthropic's and Mistral's gateways")
def other_names(payloads: Payloads, random: Random) -> Payloads:
    names = {
        "stop": ["eos_token", "stop_sequence", "end_turn", "eos"],
        "length": ["max_tokens", "model_length"],
        "tool_calls": ["tool_use", "tool_call", "stop"],
    }
    for choice in _choices(payloads):
        if isinstance(reason := choice["finish_reason"], str) and reason in names:
            choice["finish_reason"] = random.choice(names[reason])
    return payloads


@_quirk("the last chunk twice", _BOTH_OPENAI, "gateways that flush once more")
def finish_twice(payloads: Payloads, random: Random) -> Payloads:
    out: Payloads = []
    for payload in payloads:
        out.append(payload)
        if isinstance(payload, dict) and any(
            choice["finish_reason"] in ("stop", "length") for choice in payload["choices"]
        ):
            out.append(copy.deepcopy(payload))
    return out


@_quirk("text and reason in one chunk", _OPENAI, "vLLM, TGI, LMI")
def last_text_with_reason(payloads: Payloads, random: Random) -> Payloads:
    return _merged(payloads, lambda wire: bool(wire["delta"].get("content")))


@_quirk("arguments and reason in one chunk", _OPENAI, "gateways that send a call at once")
def last_call_with_reason(payloads: Payloads, random: Random) -> Payloads:
    return _merged(payloads, lambda wire: bool(wire["delta"].get("tool_calls")))


def _merged(payloads: Payloads, fits: Callable[[dict[str, Any]], bool]) -> Payloads:
    out: Payloads = []
    for payload in payloads:
        wires = payload["choices"] if isinstance(payload, dict) else []
        before = out[-1]["choices"] if out and isinstance(out[-1], dict) else []
        same = len(wires) == len(before) == 1 and wires[0]["index"] == before[0]["index"]
        if (
            same
            and wires[0]["finish_reason"]
            and not wires[0]["delta"]
            and not before[0]["finish_reason"]
            and fits(before[0])
        ):
            before[0]["finish_reason"] = wires[0]["finish_reason"]
        else:
            out.append(payload)
    return out


# Messages


def _summed(payloads: Payloads) -> dict[int, dict[str, Any]]:
    """Accumulate the message of each choice."""
    messages: dict[int, dict[str, Any]] = {}
    for choice in _choices(payloads):
        message = messages.setdefault(choice["index"], {"role": "assistant", "content": "", "reason": None})
        delta = choice.get("delta") or {}
        message["content"] += delta["content"] if isinstance(delta.get("content"), str) else ""
        if thought := delta.get("reasoning_content"):
            message["reasoning_content"] = message.get("reasoning_content", "") + thought
        for entry in delta.get("tool_calls") or ():
            called = message.setdefault("tool_calls", {})
            call = called.setdefault(
                entry["index"], {"id": entry.get("id"), "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["function"]["name"] = call["function"]["name"] or entry["function"].get("name") or ""
            call["function"]["arguments"] += entry["function"].get("arguments") or ""
        message["reason"] = choice["finish_reason"] or message["reason"]
    for message in messages.values():
        if "tool_calls" in message:
            message["tool_calls"] = list(message["tool_calls"].values())
    return messages


def whole_document(payloads: Payloads) -> dict[str, Any]:
    """Return the whole response, as for a request without `stream`."""
    usage = next((one["usage"] for one in payloads if isinstance(one, dict) and one.get("usage")), None)
    choices = [
        {"index": index, "finish_reason": message.pop("reason"), "message": message}
        for index, message in _summed(payloads).items()
    ]
    return {"id": "c1", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}


@_quirk("a whole message at the end", _OPENAI, "GCWing/OpenBitFun#792 (MiniMax)")
def whole_message(payloads: Payloads, random: Random) -> Payloads:
    """Add the whole message after the finish reason or in its place, beside an empty delta or alone, stripped."""
    in_position, beside, trims = random.random() < 0.5, random.random() < 0.5, random.random() < 0.3
    messages = _summed(payloads)
    rest = [one for one in payloads if not (isinstance(one, dict) and one["choices"])]
    reported = [one for one in payloads if isinstance(one, dict) and one["choices"]]
    frames: Payloads = []
    for index, message in messages.items():
        reason = message.pop("reason")
        if trims:
            message["content"] = message["content"].strip()
        frames.append(
            {
                "object": "chat.completion",
                "choices": [
                    {"index": index, "message": message, "finish_reason": reason, **({"delta": {}} if beside else {})}
                ],
            }
        )
    if in_position:
        reported = [one for one in reported if any(wire["delta"] for wire in one["choices"])]
    return [*reported, *frames, *rest]


@_quirk(
    "half a character at the end of a chunk",
    (*_BOTH_OPENAI, "oci-generic", "oci-cohere", "oci-cohere-v2", "oci-generate-text-llama", "tgi", "auto"),
    "elie222/rakazo#416, elizaOS/eliza#30904",
)
def half_characters(payloads: Payloads, random: Random) -> Payloads:
    """Split every payload that has a character outside the BMP into two, inside of the character."""
    out: Payloads = []
    for payload in payloads:
        is_last = isinstance(payload, dict) and (
            str(payload.get("finishReason")) in _COHERE_ENDS
            or payload.get("generated_text")
            or payload.get("toolCalls")
        )
        is_last = is_last or any("message" in wire for wire in _choices([payload]))
        if isinstance(payload, bytes) or is_last:
            out.append(payload)
            continue
        first, second = copy.deepcopy(payload), copy.deepcopy(payload)
        cuts = [_halve(*platforms) for platforms in _pairs(first, second)]
        out += [first, second] if any(cuts) else [payload]
    return out


_COHERE_ENDS = {"COMPLETE", "MAX_TOKENS", "TOOL_CALL"}


def _pairs(first: Any, second: Any) -> Iterator[tuple[Any, Any, str]]:
    """Yield the positions of the same text in two copies of a payload."""
    if isinstance(first, list):
        for one, other in zip(first, second, strict=True):
            yield from _pairs(one, other)
    if isinstance(first, dict):
        for name in first:
            if name in {
                "text",
                "content",
                "reasoning_content",
                "reasoningContent",
                "thinking",
                "arguments",
            } and isinstance(first[name], str):
                yield first, second, name
            else:
                yield from _pairs(first[name], second[name])


def _halve(first: dict[str, Any], second: dict[str, Any], name: str) -> bool:
    """Split a text at its first surrogate pair; texts without one are removed from the second copy."""
    units = first[name].encode("utf-16-le", "surrogatepass")
    at = next((at for at in range(0, len(units), 2) if 0xD8 <= units[at + 1] <= 0xDB), None)
    if at is None:
        second[name] = ""
        return False
    first[name] = units[: at + 2].decode("utf-16-le", "surrogatepass")
    second[name] = units[at + 2 :].decode("utf-16-le", "surrogatepass")
    return True


@_quirk("content as a list of parts", _OPENAI, "gateways; Mistral")
def parts(payloads: Payloads, random: Random) -> Payloads:
    kind = random.choice(["text", "output_text", None])
    for delta in _deltas(payloads):
        if isinstance(text := delta.get("content"), str) and text:
            delta["content"] = [{"type": kind, "text": text} if kind else text]
    return payloads


@_quirk("reasoning as content parts", _OPENAI, "BerriAI/litellm#16272, vercel/ai#8072 (Magistral)")
def thinking_parts(payloads: Payloads, random: Random) -> Payloads:
    shape = random.choice([lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]}, lambda text: {"type": "thinking", "thinking": text}, lambda text: {"type": "reasoning", "reasoning": text}, lambda text: {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}, lambda text: {"type": "reasoning_content", "reasoning_content": {"text": text}}])  # fmt: skip
    for delta in _deltas(payloads):
        if thought := delta.pop("reasoning_content", None):
            delta["content"] = [shape(thought)]
    return payloads


@_quirk("reasoning under another name", _OPENAI, "vLLM since 0.14")
def reasoning(payloads: Payloads, random: Random) -> Payloads:
    both = random.random() < 0.5
    for delta in _deltas(payloads):
        if thought := delta.get("reasoning_content"):
            delta["reasoning"] = thought
            if not both:
                del delta["reasoning_content"]
    return payloads


@_quirk("fields that are null", _OPENAI, "SGLang, llama-cpp-python")
def nulls(payloads: Payloads, random: Random) -> Payloads:
    for delta in _deltas(payloads):
        for name in ("content", "reasoning_content", "tool_calls", "role", "refusal", "function_call"):
            delta.setdefault(name, None)
    for choice in _choices(payloads):
        choice.update(logprobs=None, matched_stop=None)
    return payloads


@_quirk("a string for an index", _BOTH_OPENAI, "gateways in JavaScript")
def string_index(payloads: Payloads, random: Random) -> Payloads:
    for choice in _choices(payloads):
        choice["index"] = str(choice["index"])
    for entry in _entries(payloads):
        entry["index"] = str(entry["index"])
    return payloads


# Tool calls


@_quirk("a name in two halves", _OPENAI, "gateways that cut by characters")
def halved_names(payloads: Payloads, random: Random) -> Payloads:
    out: Payloads = []
    for payload in payloads:
        heads = (
            [entry for entry in _entries([payload]) if len(entry["function"].get("name") or "") > 1]
            if _is_call(payload)
            else []
        )
        if not heads:
            out.append(payload)
            continue
        rest = copy.deepcopy(payload)
        for entry, other in zip(_entries([payload]), _entries([rest]), strict=True):
            name = entry["function"]["name"]
            at = random.randrange(1, len(name))
            entry["function"].update(name=name[:at], arguments="")
            other["function"]["name"] = name[at:]
            other["id"] = None
        out += [payload, rest]
    return out


@_quirk("gpt-oss: the name runs into the next marker", _OPENAI, "vllm-project/vllm#32587")
def harmony_names(payloads: Payloads, random: Random) -> Payloads:
    marker = random.choice(["<|channel|>commentary", "<|constrain|>json", "<|channel|>"])
    for entry in _entries(payloads):
        if entry["function"].get("name"):
            entry["function"]["name"] += marker
    return payloads


@_quirk("the name 'null' in later deltas", _OPENAI, "BerriAI/litellm#12513")
def null_names(payloads: Payloads, random: Random) -> Payloads:
    word = random.choice(["null", "None", "undefined", ""])
    for entry in _entries(payloads):
        if "name" not in entry["function"]:
            entry["function"]["name"] = word
            entry["id"] = random.choice(["", None, "null"])
    return payloads


@_quirk("another id in each delta", _OPENAI, "gateways that make an id for each chunk")
def changing_ids(payloads: Payloads, random: Random) -> Payloads:
    for at, entry in enumerate(_entries(payloads)):
        if "name" not in entry["function"]:
            entry["id"] = f"other-{at}"
    return payloads


@_quirk("name and id in every delta", _OPENAI, "llama-cpp-python")
def repeated_names(payloads: Payloads, random: Random) -> Payloads:
    heads: dict[tuple[int, int], dict[str, Any]] = {}
    for choice in _choices(payloads):
        for entry in choice.get("delta", {}).get("tool_calls") or ():
            head = heads.setdefault((choice["index"], entry["index"]), entry)
            entry["id"], entry["function"]["name"] = head["id"], head["function"]["name"]
    return payloads


@_quirk("each call whole in one delta", _OPENAI, "transformers serve; OCI's own proxy")
def whole_calls(payloads: Payloads, random: Random) -> Payloads:
    """Send whole calls, with or without index and id; arguments are a string or an object."""
    has_index, has_id, as_object = (random.random() < 0.5 for _ in range(3))
    out: Payloads = []
    for payload in payloads:
        if not _is_call(payload):
            out.append(payload)
            continue
        for choice in payload["choices"]:
            for entry in choice["delta"]["tool_calls"]:
                if entry["function"].get("name"):
                    out.append(payload)
                else:
                    head = next(
                        one for one in reversed(out) if _is_call(one) and one["choices"][0]["index"] == choice["index"]
                    )
                    head["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] += entry["function"][
                        "arguments"
                    ]
    for entry in _entries(out):
        if not has_index:
            del entry["index"]
        if not has_id:
            entry.pop("id", None)
        if as_object:
            entry["function"]["arguments"] = json.loads(entry["function"]["arguments"])
    return out


@_quirk("index 0 for every call", _OPENAI, "Ollama, dynamo, OCI")
def index_zero(payloads: Payloads, random: Random) -> Payloads:
    for entry in _entries(payloads):
        entry["index"] = 0
    return payloads


@_quirk("calls without their index", _OPENAI, "gateways in front of Gemini")
def no_index(payloads: Payloads, random: Random) -> Payloads:
    for entry in _entries(payloads):
        entry.pop("index", None)
    return payloads


@_quirk("later pieces of a call by position", ("oci-generic",), "Llama on OCI (BerriAI/litellm#40040)")
def oci_by_position(payloads: Payloads, random: Random) -> Payloads:
    for payload in payloads:
        for call in payload.get("message", {}).get("toolCalls") or () if isinstance(payload, dict) else ():
            if "name" not in call:
                del call["id"]
                call["name"] = ""
    return payloads


@_quirk("another id for each piece of a call", ("oci-generic",), "gateways behind OCI Generative AI")
def oci_changing_ids(payloads: Payloads, random: Random) -> Payloads:
    for at, payload in enumerate(payloads):
        for call in payload.get("message", {}).get("toolCalls") or () if isinstance(payload, dict) else ():
            if "name" not in call:
                call["id"] = f"other-{at}"
    return payloads


@_quirk("content as a text", ("oci-generic", "oci-cohere-v2"), "OCI Generative AI, some models")
def oci_text_content(payloads: Payloads, random: Random) -> Payloads:
    for payload in payloads:
        message = payload.get("message") if isinstance(payload, dict) else None
        content = message.get("content") if message else None
        if content and content[0]["type"] == "TEXT":
            message["content"] = content[0]["text"]
    return payloads


@_quirk("[DONE] behind the last event", ("oci-generic", "tgi"), "BerriAI/litellm#39507")
def oci_done(payloads: Payloads, random: Random) -> Payloads:
    return [*payloads, b"[DONE]"]


@_quirk("the last event does not repeat the text", ("oci-cohere",), "OCI Generative AI, some regions")
def cohere_without_repetition(payloads: Payloads, random: Random) -> Payloads:
    payloads[-1]["text"] = random.choice(["", None])
    return payloads


@_quirk("the whole text is trimmed", ("tgi", "auto", "oci-cohere"), "tokenizers that strip")
def trimmed(payloads: Payloads, random: Random) -> Payloads:
    last = next(one for one in reversed(payloads) if isinstance(one, dict))
    name = "generated_text" if "generated_text" in last else "text"
    last[name] = (last[name] or "").strip()
    return payloads


# Usage, and what stands beside a response


@_quirk("usage in every chunk", _BOTH_OPENAI, "vLLM's continuous_usage_stats; gateways that send zeros")
def continuous_usage(payloads: Payloads, random: Random) -> Payloads:
    zero = random.random() < 0.5
    if not any(isinstance(one, dict) and one.get("usage") for one in payloads):
        return payloads
    chunks = [one for one in payloads if isinstance(one, dict) and one["choices"]]
    last = next(one["usage"] for one in payloads if isinstance(one, dict) and one.get("usage"))
    for at, payload in enumerate(chunks):
        payload["usage"] = {
            "prompt_tokens": 0 if zero else 3,
            "completion_tokens": 0 if zero else at,
            "total_tokens": 0 if zero else at + 3,
        }
    if not zero:
        chunks[-1]["usage"] = last
    return payloads


@_quirk("usage with the reason", _BOTH_OPENAI, "transformers serve")
def usage_with_reason(payloads: Payloads, random: Random) -> Payloads:
    counted = next((one for one in payloads if isinstance(one, dict) and not one["choices"]), None)
    if counted is None:
        return payloads
    kept = [one for one in payloads if one is not counted]
    last = next(one for one in reversed(kept) if isinstance(one, dict))
    last["usage"] = counted["usage"]
    return kept


@_quirk("no [DONE]", _BOTH_OPENAI, "transformers serve")
def no_done(payloads: Payloads, random: Random) -> Payloads:
    return [one for one in payloads if one != b"[DONE]"]


@_quirk("chunks without choices", _BOTH_OPENAI, "Azure's prompt_filter_results; SGLang's sglext")
def empty_choices(payloads: Payloads, random: Random) -> Payloads:
    out: Payloads = []
    for payload in payloads:
        if random.random() < 0.3:
            out.append(
                {"id": "", "object": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}], "usage": None}
            )
        out.append(payload)
    return out


@_quirk("an error that is null", (*_BOTH_OPENAI, "oci-generic", "tgi"), "gateways with a fixed schema")
def null_error(payloads: Payloads, random: Random) -> Payloads:
    for payload in payloads:
        if isinstance(payload, dict):
            payload["error"] = None
    for choice in _choices(payloads):
        choice["error"] = None
    return payloads


# OpenAI's Responses API

_RESPONSES = ("openai-responses",)


@_quirk("only whole items, without deltas", _RESPONSES, "transformers serve 5.23: function calls")
def without_deltas(payloads: Payloads, random: Random) -> Payloads:
    return [one for one in payloads if not one["type"].endswith(".delta")]


@_quirk("nothing is repeated", _RESPONSES, "proxies that forward the deltas only")
def nothing_repeated(payloads: Payloads, random: Random) -> Payloads:
    kept = [one for one in payloads if not one["type"].endswith(".done")]
    kept[-1]["response"]["output"] = []
    return kept


@_quirk("all output in the last event", _RESPONSES, "OpenAI's API reference: the last event has the whole output")
def only_ends(payloads: Payloads, random: Random) -> Payloads:
    return [payloads[0], payloads[-1]]


@_quirk("deltas of several items alternate", _RESPONSES, "OpenAI's API reference: events have an output_index")
def alternating(payloads: Payloads, random: Random) -> Payloads:
    by_item: dict[int, Payloads] = {}
    for one in payloads[1:-1]:
        by_item.setdefault(one["output_index"], []).append(one)
    calls = [events for events in by_item.values() if events[0]["item"]["type"] == "function_call"]
    others = [one for events in by_item.values() if events not in calls for one in events]
    mixed = [events[at] for at in range(max(map(len, calls), default=0)) for events in calls if at < len(events)]
    return [payloads[0], *others, *mixed, payloads[-1]]


@_quirk("another item id in deltas", _RESPONSES, "vLLM to 0.11: ids of deltas and of their items differ")
def other_item_ids(payloads: Payloads, random: Random) -> Payloads:
    for one in payloads:
        if "item_id" in one:
            one["item_id"] = f"other_{one['output_index']}"
    return payloads


@_quirk("events of an unknown type", _RESPONSES, "OpenAI's API reference: new events are no breaking change")
def unknown_events(payloads: Payloads, random: Random) -> Payloads:
    at = random.randrange(len(payloads))
    return [*payloads[:at], {"type": "response.unheard_of", "detail": {"text": "x"}}, *payloads[at:]]


@_quirk("[DONE] after the last event", _RESPONSES, "gateways in front of vLLM")
def responses_done(payloads: Payloads, random: Random) -> Payloads:
    return [*payloads, b"[DONE]"]


#: Ways to spell tool calls, of which a server has one.
_CALL_SHAPES = {
    *(
        "a name in two halves",
        "the name 'null' in later deltas",
        "another id in each delta",
        "name and id in every delta",
    ),
    *("each call whole in one delta", "index 0 for every call", "calls without their index"),
    *("later pieces of a call by position", "another id for each piece of a call"),
}

#: Ways to write the items of a response of OpenAI's Responses API: at least one of them must have the output.
_ITEM_SHAPES = {"only whole items, without deltas", "nothing is repeated", "all output in the last event"}

#: Pairs that cannot both be true of one server, or that leave nothing to tell calls apart by.
_IMPOSSIBLE = [
    {"a name in two halves", "gpt-oss: the name runs into the next marker"},
    {"index 0 for every call", "a whole message at the end"},
    {"calls without their index", "a whole message at the end"},
    {"each call whole in one delta", "a whole message at the end"},
    {"each call whole in one delta", "half a character at the end of a chunk"},
    {"each call whole in one delta", "arguments and reason in one chunk"},
    {"usage in every chunk", "usage with the reason"},
    {"usage in every chunk", "chunks without choices"},
]


def can_meet(names: set[str]) -> bool:
    """Return whether one server can have all of these quirks."""
    return (
        len(names & _CALL_SHAPES) < 2
        and len(names & _ITEM_SHAPES) < 2
        and not any(pair <= names for pair in _IMPOSSIBLE)
    )
