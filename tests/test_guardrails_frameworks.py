"""The field `guardrails` of models: LangChain and LlamaIndex, sync and async, streamed and whole."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from _guardrails import (
    CLEAN,
    INJECTION,
    REDACTED,
    UNSAFE,
    checks,
    emulator,
    every_method,
    model_requests,
    oci,
    shared_emulator,
    streaming_method,
)
from _langchain_platforms import chat_at, each_platform
from _platforms import AWS, PlatformCase
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError
from langchain_core.outputs import LLMResult
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as LlamaHandler

from langchain_mdstream import OCIGuardrails
from mdstream_core import GuardrailViolation
from mdstream_core.emulator import Emulator

__all__ = ["emulator", "shared_emulator"]  # fixtures

SMALL: dict[str, Any] = {"window_size": 20, "max_window_size": 40, "overlap": 30}
Build = Callable[..., Any]
Method = Callable[[Any, str, list[str]], str]


@every_method
def test_an_output_that_passes_is_returned(
    emulator: Emulator, build: Build, call_method: Method, streams: bool
) -> None:
    """Whole, with several windows where it is streamed."""
    assert call_method(build(emulator, **SMALL), "clean", []) == CLEAN
    assert ("clean", streams) == (checks(emulator)[0], len(checks(emulator)) > 2)


@every_method
def test_an_output_is_redacted(emulator: Emulator, build: Build, call_method: Method, streams: bool) -> None:
    """The same text in all styles."""
    assert REDACTED == call_method(build(emulator, pii="redact", **SMALL), "private", [])


@every_method
def test_a_violation_of_the_output_is_raised(
    emulator: Emulator, build: Build, call_method: Method, streams: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With what passed: the windows before it, or nothing of a whole response. No log has a text."""
    caplog.set_level(logging.DEBUG)
    received: list[str] = []
    with pytest.raises(GuardrailViolation, match="blocked the output: content_moderation:OVERALL") as caught:
        call_method(build(emulator, **SMALL), "unsafe", received)
    passed = "".join(received)

    assert streams == bool(passed)
    assert passed == (caught.value.partial.text if caught.value.partial else "")
    assert UNSAFE.startswith(passed)
    assert "kill" not in passed
    assert caught.value.results is not None
    assert not caught.value.retryable
    assert "castle" not in caplog.text


@every_method
def test_a_violation_of_the_input_is_raised(
    emulator: Emulator, build: Build, call_method: Method, streams: bool
) -> None:
    """Before anything is sent to the model."""
    with pytest.raises(GuardrailViolation, match="blocked the input: prompt_injection"):
        call_method(build(emulator), INJECTION, [])

    assert [] == model_requests(emulator)


@every_method
def test_an_input_is_redacted(emulator: Emulator, build: Build, call_method: Method, streams: bool) -> None:
    """In the request that the model gets."""
    call_method(build(emulator, pii="redact", check_output=False), "I am jane@x.org.", [])

    assert "I am [REDACTED_EMAIL]." == model_requests(emulator)[0].json["messages"][-1]["content"]


@streaming_method
def test_the_stream_is_closed_at_a_violation(build: Build, call_method: Method) -> None:
    """While the model still writes."""
    with Emulator(model=lambda request: UNSAFE + " more" * 2000, delay=0.01) as emulator:
        with pytest.raises(GuardrailViolation):
            call_method(build(emulator, check_input=False, **SMALL), "story", [])
        (request,) = model_requests(emulator)

        assert request.client_closed.wait(10)
        assert not request.response_sent.is_set()


class Outcomes(BaseCallbackHandler):
    """Records how runs of the model end."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.ends.append("success")

    def on_llm_error(self, error: BaseException, *, response: LLMResult, **_: Any) -> None:
        text = response.generations[0][0].text if response.generations else ""
        self.ends.append(f"{type(error).__name__}: {text}")


@every_method
def test_callbacks_get_an_error(emulator: Emulator, build: Build, call_method: Method, streams: bool) -> None:
    """Never a success, and no token that did not pass."""
    model, received = build(emulator, **SMALL), []
    if hasattr(model, "callback_manager"):
        handler = LlamaOutcomes()
        model.callback_manager = CallbackManager([handler])
        with pytest.raises(GuardrailViolation):
            call_method(model, "unsafe", received)
        assert ["GuardrailViolation"] == handler.ends
        return
    outcomes = Outcomes()
    model = model.model_copy(update={"callbacks": [outcomes]})
    with pytest.raises(GuardrailViolation) as caught:
        call_method(model, "unsafe", received)

    assert isinstance(caught.value, ModelError | ValueError)
    assert [f"GuardrailViolation: {''.join(received)}"] == outcomes.ends
    assert "".join(received) == "".join(outcomes.tokens)


class LlamaOutcomes(LlamaHandler):
    """Records the exceptions of LLM events."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.ends: list[str] = []

    def on_event_start(self, *_: Any, **__: Any) -> str:
        return ""

    def on_event_end(self, event_type: CBEventType, payload: dict[str, Any] | None = None, **_: Any) -> None:
        if event_type is CBEventType.LLM:
            error = (payload or {}).get(EventPayload.EXCEPTION)
            self.ends.append(type(error).__name__ if error else "success")

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None: ...


@each_platform
def test_models_of_every_platform_are_guarded(platform_case: PlatformCase) -> None:
    """Guardrails are a service of their own, whatever the model's."""
    with Emulator(model=lambda request: UNSAFE, aws_keys=AWS) as emulator:
        chat = chat_at(platform_case, emulator, guardrails=OCIGuardrails(**oci(emulator), **SMALL))
        received = ""
        with pytest.raises(GuardrailViolation) as caught:
            for chunk in chat.stream("story"):
                received += chunk.text

    assert caught.value.partial is not None
    assert received == caught.value.partial.text
    assert "kill" not in received
