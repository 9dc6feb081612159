"""Finds out what a container speaks: asks as most do, and goes by the first payload that comes back."""

import warnings
from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core._hints import NO_CHAT_TEMPLATE, WANTS_DIALOGS, WANTS_INPUTS
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._native import NativeDecoder, prompt
from mdstream_core.dialects._native_names import flatten_parameters
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.dialects._parameter_fallback import Relaxed, relaxed_inside
from mdstream_core.dialects._spoken import NATIVE, misfit, spoken
from mdstream_core.dialects.lmi import JumpStartLlama
from mdstream_core.dialects.openai import OpenAIChat
from mdstream_core.dialects.tgi import TGI
from mdstream_core.errors import (
    SHAPE_ERRORS,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServiceError,
    unexpected_shape,
    words_of,
)
from mdstream_core.events import Event


class AutoDecoder:
    """Reads the first payload's dialect, then the answer in it."""

    def __init__(self) -> None:
        self._inner: Decoder | None = None
        #: The dialect that was found out.
        self.spoken: str | None = None
        self._openai = OpenAIDecoder()  # errors, [DONE] and an empty answer are spelled the same in all of them

    @property
    def broken(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return (self._inner or self._openai).broken

    @property
    def over(self) -> bool:
        """Whether every choice has said why it finished."""
        return (self._inner or self._openai).over

    @property
    def finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return (self._inner or self._openai).finished

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        if self._inner is None:
            try:
                self._inner = self._chosen(data, event)
            except SHAPE_ERRORS as error:
                raise unexpected_shape(data, error) from error
        if self._inner is None:
            return self._openai.feed(data, event)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to find out
        return self._inner.feed(data, event)

    def end(self, *, is_document: bool = False) -> list[Event]:
        """Check that the answer is whole."""
        return (self._inner or self._openai).end(is_document=is_document)

    def held(self) -> list[Event]:
        """What has come and was not told yet."""
        return (self._inner or self._openai).held()

    def _chosen(self, data: bytes, event: str) -> Decoder | None:
        try:
            payload = _json.loads(data)
        except ValueError:
            return None
        name = self.spoken = spoken(payload)
        if name in NATIVE:
            return NativeDecoder(name or "auto")
        if name:
            return self._openai
        if event != "error" and payload not in ({}, []) and words_of(payload) is None:
            text = data[:2000].decode("utf-8", "replace")
            raise misfit("auto", payload, text if len(text) <= 300 else text[:300] + "…")
        return None


class Auto(OpenAIChat):
    """Asks in the OpenAI chat shape (or with `prompt`); a container that wants `inputs` is asked once more with them.

    That second question is written without the model's chat template, so a warning says so. It is written like that
    also where the model has no template: as `inputs` for TGI, as `prompt` for the others. JumpStart's Llama 2 rejects
    `inputs` that are a text, and gets the messages themselves.
    """

    name = "auto"
    route = "/invocations"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """OpenAI's, with `do_sample`: a container that takes `inputs` samples only when it is told to."""
        body = super().body(question, stream=stream)
        return {**body, "do_sample": True} if flatten_parameters(question).get("do_sample") else body

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without what is refused; or in the form that the container reports to take."""
        if "inputs" in body and "parameters" in body:
            return relaxed_inside(body, error) or _in_another_form(body, error)
        return super().simpler(body, error) or _in_another_form(body, error)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return AutoDecoder()


class _Inputs(Relaxed):
    """`inputs` and `parameters`, with the chat that they were made from."""

    def __init__(self, chat: Mapping[str, Any]) -> None:
        super().__init__(TGI().body(chat, stream=bool(chat.get("stream"))))
        self.chat = chat


def _in_another_form(body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
    if not isinstance(error, ServiceError) or isinstance(error, ContextOverflow) or body.get("tools"):
        return None
    said = f"{error} {error.raw or ''}"
    try:
        return _native(body, said) if "inputs" in body else _instead_of_messages(body, said)
    except InvalidRequest:  # it has parts that this format has no place for: the first refusal stands
        return None


def _native(body: Mapping[str, Any], said: str) -> dict[str, Any] | None:
    if isinstance(body, _Inputs) and "messages" in body.chat and WANTS_DIALOGS.search(said):
        return _as_dialogs(body.chat)
    return None


def _instead_of_messages(body: Mapping[str, Any], said: str) -> dict[str, Any] | None:
    if WANTS_INPUTS.search(said):
        return _as_inputs(body, "the container takes no messages but `inputs`")
    if "messages" not in body or not NO_CHAT_TEMPLATE.search(said):
        return None
    is_tgi = "template error" in said.lower()
    return _as_inputs(body, "the model has no chat template") if is_tgi else _as_prompt(body)


def _as_inputs(body: Mapping[str, Any], why: str) -> dict[str, Any]:
    native = _Inputs(body)
    _warn(
        f"{why}: they are sent as plain text, without the model's chat template; set dialect='tgi' or dialect='lmi' to "
        "ask so at once"
    )
    return native


def _as_prompt(body: Mapping[str, Any]) -> dict[str, Any]:
    left_out = {"messages", "tool_choice", "parallel_tool_calls"}
    asked = {"prompt": prompt(body), **{name: value for name, value in body.items() if name not in left_out}}
    _warn(
        "the model has no chat template: messages are sent as plain text, as `prompt`; set is_chat_model=False in "
        "LlamaIndex, or use SagemakerEndpoint in LangChain, to ask so at once"
    )
    return asked


def _as_dialogs(chat: Mapping[str, Any]) -> dict[str, Any]:
    asked = JumpStartLlama().body(chat, stream=False)
    _warn("the container takes dialogs, as JumpStart's Llama 2 does: set dialect='jumpstart-llama' to ask so at once")
    return asked


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)
