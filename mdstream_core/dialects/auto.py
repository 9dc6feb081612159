"""Dialect that detects the API format of a container from its error responses and its first payload."""

import warnings
from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core._hints import NO_CHAT_TEMPLATE, REQUIRES_DIALOGS, REQUIRES_INPUTS
from mdstream_core.dialects._detect import HUGGING_FACE_DIALECTS, detect_dialect, wrong_dialect_error
from mdstream_core.dialects._dialect import Decoder, feed_uniform
from mdstream_core.dialects._huggingface_names import flatten_parameters
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.dialects._parameter_fallback import RelaxedPayload, relax_parameters
from mdstream_core.dialects.huggingface import HuggingFaceDecoder, build_prompt
from mdstream_core.dialects.lmi import JumpStartLlama
from mdstream_core.dialects.openai import OpenAIChat
from mdstream_core.dialects.tgi import TGI
from mdstream_core.errors import (
    SHAPE_ERRORS,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServiceError,
    parse_error_object,
    unexpected_shape,
)
from mdstream_core.events import Event, TextDelta


class AutoDecoder:
    """Decoder that detects the dialect of the first payload and delegates to that dialect's decoder."""

    def __init__(self) -> None:
        self._inner: Decoder | None = None
        #: The name of the detected dialect; `None` until the first payload.
        self.detected_dialect: str | None = None
        self._openai = OpenAIDecoder()  # errors, [DONE] and an empty response have the same form in all dialects

    @property
    def error(self) -> MDStreamError | None:
        """The error of a payload that also had events."""
        return (self._inner or self._openai).error

    @property
    def is_complete(self) -> bool:
        """Whether the response is complete and nothing more of it follows."""
        return (self._inner or self._openai).is_complete

    @property
    def is_finished(self) -> bool:
        """Whether every choice has a finish reason."""
        return (self._inner or self._openai).is_finished

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        if self._inner is None:
            try:
                self._inner = self._detect(data, event)
            except SHAPE_ERRORS as error:
                raise unexpected_shape(data, error) from error
        if self._inner is None:
            return self._openai.feed(data, event)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # the dialect is known: later calls go directly to its decoder
        return self._inner.feed(data, event)

    def feed_uniform(self, payloads: list[bytes], at: int) -> list[TextDelta] | None:
        """Decode the payloads from an index on, as long as they have the form of the last one."""
        return feed_uniform(self._inner, payloads, at)

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response is complete."""
        return (self._inner or self._openai).finish(is_document=is_document)

    def flush(self) -> list[Event]:
        """Return the events that are still buffered."""
        return (self._inner or self._openai).flush()

    def _detect(self, data: bytes, event: str) -> Decoder | None:
        try:
            payload = _json.loads(data)
        except ValueError:
            return None
        name = self.detected_dialect = detect_dialect(payload)
        if name in HUGGING_FACE_DIALECTS:
            return HuggingFaceDecoder(name or "auto")
        if name:
            return self._openai
        if event != "error" and payload not in ({}, []) and parse_error_object(payload) is None:
            text = data[:2000].decode("utf-8", "replace")
            raise wrong_dialect_error("auto", payload, text if len(text) <= 300 else text[:300] + "…")
        return None


class Auto(OpenAIChat):
    """Dialect that sends OpenAI chat requests, and converts a request once if the container rejects its form.

    A container that requires `inputs` receives the messages as text, without the model's chat template; a warning
    reports that. The same happens if the model has no chat template: TGI receives `inputs`, other servers a `prompt`.
    JumpStart's Llama 2, which rejects `inputs` of type string, receives a list of dialogs.
    """

    name = "auto"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build OpenAI's body, with `do_sample` if it is set: Hugging Face containers sample only if it is."""
        payload = super().build_payload(params, stream=stream)
        return {**payload, "do_sample": True} if flatten_parameters(params).get("do_sample") else payload

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Drop the rejected parameter, or convert the payload to the form that the error requires."""
        if "inputs" in payload and "parameters" in payload:
            return relax_parameters(payload, error) or _convert_payload(payload, error)
        return super().relax_payload(payload, error) or _convert_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return AutoDecoder()


class _InputsPayload(RelaxedPayload):
    """A payload with `inputs` and `parameters`, and the chat payload that it was converted from."""

    def __init__(self, chat: Mapping[str, Any]) -> None:
        super().__init__(TGI().build_payload(chat, stream=bool(chat.get("stream"))))
        self.chat_payload = chat


def _convert_payload(payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    if not isinstance(error, ServiceError) or isinstance(error, ContextOverflow) or payload.get("tools"):
        return None
    message = f"{error} {error.raw or ''}"
    try:
        return _to_dialogs(payload, message) if "inputs" in payload else _replace_messages(payload, message)
    except InvalidRequest:  # the format does not support a content part: raise the first error response
        return None


def _replace_messages(payload: Mapping[str, Any], error_message: str) -> dict[str, Any] | None:
    if REQUIRES_INPUTS.search(error_message):
        return _to_inputs(payload, "the container accepts `inputs`, not messages")
    if "messages" not in payload or not NO_CHAT_TEMPLATE.search(error_message):
        return None
    is_tgi = "template error" in error_message.lower()
    return _to_inputs(payload, "the model has no chat template") if is_tgi else _to_prompt(payload)


def _to_inputs(payload: Mapping[str, Any], reason: str) -> dict[str, Any]:
    build_prompt(payload)  # raises for images: TGI reads them as Markdown, but the container may be another one
    converted = _InputsPayload(payload)
    _warn(
        f"{reason}: messages are sent as plain text, without the model's chat template (hint: set dialect='tgi' or "
        "dialect='lmi' to skip the rejected request)"
    )
    return converted


def _to_prompt(payload: Mapping[str, Any]) -> dict[str, Any]:
    chat_only = {"messages", "tool_choice", "parallel_tool_calls"}
    options = {name: value for name, value in payload.items() if name not in chat_only}
    converted = {"prompt": build_prompt(payload), **options}
    _warn(
        "the model has no chat template: messages are sent as plain text, as `prompt` (hint: set is_chat_model=False "
        "in LlamaIndex, or use SagemakerEndpoint in LangChain, to skip the rejected request)"
    )
    return converted


def _to_dialogs(payload: Mapping[str, Any], error_message: str) -> dict[str, Any] | None:
    chat = payload.chat_payload if isinstance(payload, _InputsPayload) else {}
    if "messages" not in chat or not REQUIRES_DIALOGS.search(error_message):
        return None
    converted = JumpStartLlama().build_payload(chat, stream=False)
    _warn(
        "the container accepts a list of dialogs, as JumpStart's Llama 2 does: messages are sent as one dialog "
        "(hint: set dialect='jumpstart-llama' to skip the rejected request)"
    )
    return converted


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)
