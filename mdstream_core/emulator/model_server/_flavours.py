"""How each model server writes the same answer: one row per server, one small function per thing said.

Read off recorded streams (`samples/`) and the servers' sources; see the per-server table of the reference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.emulator.model import ModelOutput, ToolCall

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServerFlavour:
    """One server's habits.

    Attributes:
        name: What the option calls it.
        opening: The first delta of a choice, `None` where the first words come at once.
        text: The delta of a piece of text.
        reasoning: The delta of a piece of reasoning.
        calls: The deltas of one tool call.
        last: The delta of the chunk that carries the finish reason; `None` puts the reason on the last words.
        extra: Fields beside the delta, in a chunk with words and in the finishing one.
        top: Fields beside `choices` in every chunk.
        finish: The finish reason, after this server's fashion.
        usage: `asked` (a chunk of its own if asked for), `never`, or `last` (on the finishing chunk).
        sends_done: Whether `[DONE]` is sent.
        error: The body of a refusal: status, message, type, parameter.
        content_type: Of a stream.
        opening_top: Fields beside `choices` in the first chunk.
        last_top: Fields beside `choices` in the chunk with the finish reason.
        omits_nulls: Whether fields that are null are left out.
        details: Whether usage is broken down.
        has_inline_reasoning: Whether reasoning stands between tags inside the text, for want of a field.
    """

    name: str
    opening: Json | None
    text: Callable[[str], Json]
    reasoning: Callable[[str], Json]
    calls: Callable[[int, ToolCall], Iterator[Json]]
    error: Callable[[int, str, str, str | None], Json]
    last: Json | None = field(default_factory=dict)
    extra: Json = field(default_factory=dict)
    top: Json = field(default_factory=dict)
    finish: Callable[[ModelOutput, Any], str] = lambda answer, choice: answer.finish
    usage: str = "asked"
    sends_done: bool = True
    content_type: str = "text/event-stream; charset=utf-8"
    opening_top: Json = field(default_factory=dict)
    has_inline_reasoning: bool = False
    last_top: Json = field(default_factory=dict)
    omits_nulls: bool = False
    details: bool = True


def _content(piece: str) -> Json:
    return {"content": piece}


def _calls_in_pieces(index: int, call: ToolCall) -> Iterator[Json]:
    """vLLM and llama-server: a head without arguments, then arguments alone."""
    head = {"id": call.id, "type": "function", "index": index, "function": {"name": call.name}}
    yield {"content": None, "tool_calls": [head]}
    for piece in call.arguments:
        yield {"content": None, "tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _calls_sglang(index: int, call: ToolCall) -> Iterator[Json]:
    id, name = call.id, call.name
    for piece in ("", *call.arguments):
        function = {"name": name or None, "arguments": piece}
        delta = {"id": id or None, "index": index, "type": "function", "function": function}
        yield {"role": None, "content": None, "reasoning_content": None, "tool_calls": [delta]}
        id = name = ""


def _calls_tgi(index: int, call: ToolCall) -> Iterator[Json]:
    """Every delta says index 0, parallel calls too, and every delta has the id."""
    name: str | None = call.name
    for piece in ("", *call.arguments):
        function = {"name": name, "arguments": piece}
        delta = {"index": 0, "id": call.id, "type": "function", "function": function}
        yield {"role": "assistant", "tool_calls": [delta]}
        name = None


def _calls_llamacpp(index: int, call: ToolCall) -> Iterator[Json]:
    """llama-cpp-python: id and name in every fragment, beside the legacy `function_call`."""
    for piece in call.arguments or ("",):
        function = {"name": call.name, "arguments": piece}
        delta = {"index": index, "id": call.id, "type": "function", "function": function}
        yield {"role": None, "content": None, "function_call": function, "tool_calls": [delta]}


def _calls_whole(index: int, call: ToolCall) -> Iterator[Json]:
    function = {"arguments": "".join(call.arguments), "name": call.name}
    yield {"tool_calls": [{"index": index, "id": call.id, "function": function, "type": "function"}]}


def _vllm_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def _flat_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": param, "code": status}


def _tgi_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"error": message, "error_type": "validation" if status < 500 else "generation"}


def _llamacpp_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def _detail_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"detail": message}


def _vllm_finish(answer: ModelOutput, choice: Any) -> str:
    """A call that was named beforehand ends with `stop` in vLLM."""
    return "stop" if isinstance(choice, dict) and answer.finish == "tool_calls" else answer.finish


def _tgi_finish(answer: ModelOutput, choice: Any) -> str:
    if answer.stop_reason is not None:
        return "stop_sequence"
    return "stop" if answer.finish == "tool_calls" else answer.finish


FLAVOURS = {
    "vllm": ServerFlavour(
        "vllm",
        opening={"role": "assistant", "content": ""},
        text=_content,
        reasoning=lambda piece: {"reasoning": piece},
        calls=_calls_in_pieces,
        error=_vllm_error,
        extra={"token_ids": None},
        opening_top={"prompt_token_ids": None, "prompt_text": None},
        last_top={"system_fingerprint": "vllm-0.32.0-0bdc2ded"},
        finish=_vllm_finish,
    ),
    # 0.11 to 0.13, which OCI's containers ship: both names of the reasoning
    "vllm-0.13": ServerFlavour(
        "vllm-0.13",
        opening={"role": "assistant", "content": "", "reasoning_content": None},
        text=lambda piece: {"content": piece, "reasoning_content": None},
        reasoning=lambda piece: {"reasoning": piece, "reasoning_content": piece},
        calls=_calls_in_pieces,
        error=_vllm_error,
        last={"content": "", "reasoning_content": None},
        extra={"token_ids": None},
        opening_top={"prompt_token_ids": None},
        finish=_vllm_finish,
    ),
    "sglang": ServerFlavour(
        "sglang",
        opening={"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None},
        text=lambda piece: {"role": None, "content": piece, "reasoning_content": None, "tool_calls": None},
        reasoning=lambda piece: {"role": None, "content": None, "reasoning_content": piece, "tool_calls": None},
        calls=_calls_sglang,
        error=_flat_error,
        last={"reasoning_content": None},
        extra={"matched_stop": None},
        content_type="text/event-stream",
    ),
    "tgi": ServerFlavour(
        "tgi",
        opening=None,
        text=lambda piece: {"role": "assistant", "content": piece},
        reasoning=lambda piece: {"role": "assistant", "content": piece},
        has_inline_reasoning=True,
        details=False,
        calls=_calls_tgi,
        error=_tgi_error,
        last=None,
        top={"system_fingerprint": "3.3-native", "usage": None},
        finish=_tgi_finish,
        content_type="text/event-stream",
    ),
    "llamacpp": ServerFlavour(
        "llamacpp",
        opening={"role": "assistant"},
        text=_content,
        reasoning=_content,
        has_inline_reasoning=True,
        details=False,
        calls=_calls_llamacpp,
        error=_llamacpp_error,
        usage="never",
    ),
    "transformers": ServerFlavour(
        "transformers",
        opening={"role": "assistant"},
        text=_content,
        reasoning=lambda piece: {"reasoning_content": piece},
        calls=_calls_whole,
        error=_detail_error,
        top={"system_fingerprint": ""},
        usage="last",
        omits_nulls=True,
        details=False,
        sends_done=False,
    ),
}
