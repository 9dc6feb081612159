"""Formats of model servers for the same output: one row for each server, small functions for the parts of a response.

Sources: recorded streams (`samples/`) and the servers' code; see the table of servers in the reference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.emulator.model import ModelOutput, ToolCall
from mdstream_core.emulator.model_server import _responses_formats as _formats

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServerFlavour:
    """The format of one model server.

    Attributes:
        name: Name of the flavour: its key in `FLAVOURS`.
        opening: First delta of a choice; `None` if the first delta has text.
        text: Builds the delta of a text fragment.
        reasoning: Builds the delta of a reasoning fragment.
        calls: Builds the deltas of one tool call from its index.
        last: Delta of the chunk with the finish reason; `None` puts the reason in the last chunk with text.
        extra: Fields beside the delta, in a chunk with text and in the finishing one.
        top: Fields beside `choices` in every chunk.
        finish: Returns the finish reason from the output and the `tool_choice`.
        usage: When usage is sent: `requested` (in a chunk of its own if requested), `never`, or `last` (in the
            finishing chunk).
        sends_done: Whether `[DONE]` is sent.
        error: Builds the body of an error response from status, message, type and parameter.
        content_type: `content-type` of a stream.
        opening_top: Fields beside `choices` in the first chunk.
        last_top: Fields beside `choices` in the chunk with the finish reason.
        omits_nulls: Whether fields that are null are left out.
        details: Whether usage has details.
        has_inline_reasoning: Whether reasoning is in the text, in `<think>` tags, for servers without a field for it.
        responses: The format of `/v1/responses`; `None` for servers without it.
        has_error_codes: Whether errors have OpenAI's codes, e.g. `context_length_exceeded`.
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
    finish: Callable[[ModelOutput, Any], str] = lambda output, choice: output.finish
    usage: str = "requested"
    sends_done: bool = True
    content_type: str = "text/event-stream; charset=utf-8"
    opening_top: Json = field(default_factory=dict)
    has_inline_reasoning: bool = False
    last_top: Json = field(default_factory=dict)
    omits_nulls: bool = False
    details: bool = True
    responses: _formats.ResponsesFormat | None = None
    has_error_codes: bool = False


def _content(fragment: str) -> Json:
    return {"content": fragment}


def _calls_in_fragments(index: int, call: ToolCall) -> Iterator[Json]:
    """Deltas of vLLM and llama-server: a head without arguments, then arguments alone."""
    head = {"id": call.id, "type": "function", "index": index, "function": {"name": call.name}}
    yield {"content": None, "tool_calls": [head]}
    for fragment in call.arguments:
        yield {"content": None, "tool_calls": [{"index": index, "function": {"arguments": fragment}}]}


def _calls_sglang(index: int, call: ToolCall) -> Iterator[Json]:
    id, name = call.id, call.name
    for fragment in ("", *call.arguments):
        function = {"name": name or None, "arguments": fragment}
        delta = {"id": id or None, "index": index, "type": "function", "function": function}
        yield {"role": None, "content": None, "reasoning_content": None, "tool_calls": [delta]}
        id = name = ""


def _calls_tgi(index: int, call: ToolCall) -> Iterator[Json]:
    """Deltas of TGI: index 0 in every delta, even for parallel calls, and the id in every delta."""
    name: str | None = call.name
    for fragment in ("", *call.arguments):
        function = {"name": name, "arguments": fragment}
        delta = {"index": 0, "id": call.id, "type": "function", "function": function}
        yield {"role": "assistant", "tool_calls": [delta]}
        name = None


def _calls_llamacpp(index: int, call: ToolCall) -> Iterator[Json]:
    """Deltas of llama-cpp-python: id and name in every fragment, beside the legacy `function_call`."""
    for fragment in call.arguments or ("",):
        function = {"name": call.name, "arguments": fragment}
        delta = {"index": index, "id": call.id, "type": "function", "function": function}
        yield {"role": None, "content": None, "function_call": function, "tool_calls": [delta]}


def _calls_whole(index: int, call: ToolCall) -> Iterator[Json]:
    function = {"arguments": "".join(call.arguments), "name": call.name}
    yield {"tool_calls": [{"index": index, "id": call.id, "function": function, "type": "function"}]}


def _vllm_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def _openai_error(status: int, message: str, kind: str, param: str | None) -> Json:
    kind = kind if kind.endswith("_error") else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def _flat_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": param, "code": status}


def _tgi_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"error": message, "error_type": "validation" if status < 500 else "generation"}


def _llamacpp_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def _detail_error(status: int, message: str, kind: str, param: str | None) -> Json:
    return {"detail": message}


def _vllm_finish(output: ModelOutput, choice: Any) -> str:
    """Return vLLM's finish reason: `stop` after a call that `tool_choice` named."""
    return "stop" if isinstance(choice, dict) and output.finish == "tool_calls" else output.finish


def _tgi_finish(output: ModelOutput, choice: Any) -> str:
    if output.stop_reason is not None:
        return "stop_sequence"
    return "stop" if output.finish == "tool_calls" else output.finish


FLAVOURS = {
    "vllm": ServerFlavour(
        "vllm",
        opening={"role": "assistant", "content": ""},
        text=_content,
        reasoning=lambda fragment: {"reasoning": fragment},
        calls=_calls_in_fragments,
        error=_vllm_error,
        extra={"token_ids": None},
        opening_top={"prompt_token_ids": None, "prompt_text": None},
        last_top={"system_fingerprint": "vllm-0.32.0-0bdc2ded"},
        finish=_vllm_finish,
        responses=_formats.VLLM,
    ),
    # vLLM 0.11 to 0.13, which OCI's containers use: both names of the reasoning field
    "vllm-0.13": ServerFlavour(
        "vllm-0.13",
        opening={"role": "assistant", "content": "", "reasoning_content": None},
        text=lambda fragment: {"content": fragment, "reasoning_content": None},
        reasoning=lambda fragment: {"reasoning": fragment, "reasoning_content": fragment},
        calls=_calls_in_fragments,
        error=_vllm_error,
        last={"content": "", "reasoning_content": None},
        extra={"token_ids": None},
        opening_top={"prompt_token_ids": None},
        finish=_vllm_finish,
        responses=_formats.VLLM_OLD,
    ),
    "sglang": ServerFlavour(
        "sglang",
        opening={"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None},
        text=lambda fragment: {"role": None, "content": fragment, "reasoning_content": None, "tool_calls": None},
        reasoning=lambda fragment: {"role": None, "content": None, "reasoning_content": fragment, "tool_calls": None},
        calls=_calls_sglang,
        error=_flat_error,
        last={"reasoning_content": None},
        extra={"matched_stop": None},
        content_type="text/event-stream",
    ),
    "tgi": ServerFlavour(
        "tgi",
        opening=None,
        text=lambda fragment: {"role": "assistant", "content": fragment},
        reasoning=lambda fragment: {"role": "assistant", "content": fragment},
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
        reasoning=lambda fragment: {"reasoning_content": fragment},
        calls=_calls_whole,
        error=_detail_error,
        top={"system_fingerprint": ""},
        usage="last",
        omits_nulls=True,
        details=False,
        sends_done=False,
        responses=_formats.TRANSFORMERS,
    ),
}
#: OpenAI's own format, in which OCI Generative AI serves `/openai/v1/responses`.
OPENAI = ServerFlavour(
    "openai",
    opening={"role": "assistant", "content": "", "refusal": None},
    text=_content,
    reasoning=lambda fragment: {"reasoning_content": fragment},
    calls=_calls_in_fragments,
    error=_openai_error,
    responses=_formats.OPENAI,
    has_error_codes=True,
)
