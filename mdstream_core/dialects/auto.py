"""Finds out what a container speaks: asks as most do, and goes by the first payload that comes back."""

import warnings
from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core._hints import NO_CHAT_TEMPLATE, REQUIRES_DIALOGS, REQUIRES_INPUTS
from mdstream_core.dialects._detect import HUGGING_FACE_DIALECTS, detect_dialect, wrong_dialect_error
from mdstream_core.dialects._dialect import Decoder
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
from mdstream_core.events import Event


class AutoDecoder:
    """Reads the first payload's dialect, then the answer in it."""

    def __init__(self) -> None:
        self._inner: Decoder | None = None
        #: The dialect that was found out.
        self.detected_dialect: str | None = None
        self._openai = OpenAIDecoder()  # errors, [DONE] and an empty answer are spelled the same in all of them

    @property
    def error(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return (self._inner or self._openai).error

    @property
    def is_complete(self) -> bool:
        """Whether every choice has said why it finished."""
        return (self._inner or self._openai).is_complete

    @property
    def is_finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return (self._inner or self._openai).is_finished

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        if self._inner is None:
            try:
                self._inner = self._detect(data, event)
            except SHAPE_ERRORS as error:
                raise unexpected_shape(data, error) from error
        if self._inner is None:
            return self._openai.feed(data, event)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to find out
        return self._inner.feed(data, event)

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole."""
        return (self._inner or self._openai).finish(is_document=is_document)

    def flush(self) -> list[Event]:
        """What has come and was not told yet."""
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
    """Asks in the OpenAI chat shape (or with `build_prompt`); a container that wants `inputs` is asked once more with
    them.

    That second question is written without the model's chat template, so a warning says so. It is written like that
    also where the model has no template: as `inputs` for TGI, as `build_prompt` for the others. JumpStart's Llama 2
    rejects
    `inputs` that are a text, and gets the messages themselves.
    """

    name = "auto"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """OpenAI's, with `do_sample`: a container that takes `inputs` samples only when it is told to."""
        body = super().build_payload(params, stream=stream)
        return {**body, "do_sample": True} if flatten_parameters(params).get("do_sample") else body

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without what is refused; or in the form that the container reports to take."""
        if "inputs" in payload and "parameters" in payload:
            return relax_parameters(payload, error) or _convert_payload(payload, error)
        return super().relax_payload(payload, error) or _convert_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """A fresh decoder."""
        return AutoDecoder()


class _InputsPayload(RelaxedPayload):
    """`inputs` and `parameters`, with the chat that they were made from."""

    def __init__(self, chat: Mapping[str, Any]) -> None:
        super().__init__(TGI().build_payload(chat, stream=bool(chat.get("stream"))))
        self.chat_payload = chat


def _convert_payload(body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    if not isinstance(error, ServiceError) or isinstance(error, ContextOverflow) or body.get("tools"):
        return None
    said = f"{error} {error.raw or ''}"
    try:
        return _to_huggingface(body, said) if "inputs" in body else _replace_messages(body, said)
    except InvalidRequest:  # it has parts that this format has no place for: the first refusal stands
        return None


def _to_huggingface(body: Mapping[str, Any], error_message: str) -> dict[str, Any] | None:
    if isinstance(body, _InputsPayload) and "messages" in body.chat_payload and REQUIRES_DIALOGS.search(error_message):
        return _to_dialogs(body.chat_payload)
    return None


def _replace_messages(body: Mapping[str, Any], error_message: str) -> dict[str, Any] | None:
    if REQUIRES_INPUTS.search(error_message):
        return _to_inputs(body, "the container takes no messages but `inputs`")
    if "messages" not in body or not NO_CHAT_TEMPLATE.search(error_message):
        return None
    is_tgi = "template error" in error_message.lower()
    return _to_inputs(body, "the model has no chat template") if is_tgi else _to_prompt(body)


def _to_inputs(body: Mapping[str, Any], why: str) -> dict[str, Any]:
    native = _InputsPayload(body)
    _warn(
        f"{why}: they are sent as plain text, without the model's chat template; set dialect='tgi' or dialect='lmi' to "
        "ask so at once"
    )
    return native


def _to_prompt(body: Mapping[str, Any]) -> dict[str, Any]:
    left_out = {"messages", "tool_choice", "parallel_tool_calls"}
    asked = {"prompt": build_prompt(body), **{name: value for name, value in body.items() if name not in left_out}}
    _warn(
        "the model has no chat template: messages are sent as plain text, as `prompt`; set is_chat_model=False in "
        "LlamaIndex, or use SagemakerEndpoint in LangChain, to ask so at once"
    )
    return asked


def _to_dialogs(chat: Mapping[str, Any]) -> dict[str, Any]:
    asked = JumpStartLlama().build_payload(chat, stream=False)
    _warn("the container takes dialogs, as JumpStart's Llama 2 does: set dialect='jumpstart-llama' to ask so at once")
    return asked


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)
