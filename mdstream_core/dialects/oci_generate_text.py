"""Dialects of `generateText`, OCI Generative AI's completion API, with its runtimes COHERE and LLAMA.

    data: {"id":"aaa6fc53-…","text":" Why"}

The events of the Cohere runtime were observed (an article of February 2024). That the last event has a `finishReason`
is assumed from the models of the `oci` SDK; a stream without one counts as interrupted.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects import _oci_requests as oci
from mdstream_core.dialects._choice_decoder import error_in_choice, is_error, require_text
from mdstream_core.dialects._dialect import Decoder, NotResumableMixin
from mdstream_core.dialects._finish_reasons import read_finish_reason
from mdstream_core.dialects._oci_model_quirks import relax_oci_payload
from mdstream_core.dialects._oci_requests import Json, ParameterRule
from mdstream_core.dialects._oci_responses import OCIDecoder, logprobs_event
from mdstream_core.errors import InvalidRequest, MDStreamError
from mdstream_core.events import Event, Logprobs


class GenerateTextDecoder(OCIDecoder):
    """Base class of the decoders of both runtimes."""

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Append the events of a payload to `events`."""
        whole = payload.get("inferenceResponse")
        response = whole or payload
        choices = response.get("generatedTexts") or response.get("choices")
        for position, wire in enumerate(choices or ()):
            self._read_choice(wire, events, wire.get("index", position), whole=whole is not None)
        if choices is None and ("text" in payload or "finishReason" in payload):
            self._read_choice(payload, events, payload.get("index"), whole=False)
        self.add_usage(response.get("usage"), events)
        first = (choices or [{}])[0]
        self.add_metadata(events, payload.get("modelId"), payload.get("id") or first.get("id"))

    def _read_choice(self, wire: Mapping[str, Any], events: list[Event], index: Any, *, whole: bool) -> None:
        choice, reason = self.choice(index), wire.get("finishReason")
        last = bool(read_finish_reason(reason))
        if text := wire.get("text"):
            new = choice.remaining_text(require_text(text)) if last else require_text(text)
            if new:
                self.reopen(choice)
                choice.add_text(new, events)
        logprobs_event(wire.get("logprobs"), choice, events)
        if likelihoods := wire.get("tokenLikelihoods"):
            entries = [{"token": one.get("token"), "logprob": one.get("likelihood")} for one in likelihoods]
            events.append(Logprobs(_json.check_depth(entries), choice.index))
        if is_error(error := wire.get("error")):
            raise error_in_choice(error, wire)
        if last or whole:  # a JSON document is complete by itself; old models omit its finish reason
            self.finish_choice(choice, reason if last else "stop", events, wire)


class CohereTextDecoder(GenerateTextDecoder):
    """Decoder for one response of the Cohere runtime."""

    api_format: ClassVar[str] = "COHERE"


class LlamaTextDecoder(GenerateTextDecoder):
    """Decoder for one response of the Llama runtime."""

    api_format: ClassVar[str] = "LLAMA"


class OCIGenerateTextCohere(NotResumableMixin):
    """Dialect of `/actions/generateText` with `runtimeType` COHERE; requests have a `prompt`."""

    name = "oci-generate-text-cohere"
    route = "/actions/generateText"
    runtime: ClassVar[str] = "COHERE"
    decoder_class: ClassVar[type[OCIDecoder]] = CohereTextDecoder
    parameter_rules: ClassVar[dict[str, ParameterRule]] = {
        "stop": oci.list_as("stopSequences"),
        "logprobs": lambda value: {"returnLikelihoods": "GENERATION"} if value else {},
    }

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """Build the `inferenceRequest`. It contains the model name, which the platform moves to the envelope."""
        if not isinstance(params.get("prompt"), str):
            raise InvalidRequest(
                "generateText requires `prompt`, a single string (hint: send messages to /actions/chat)",
                code="InvalidParameter",
            )
        translated = oci.translate_params(params, {**_PARAMETER_RULES, **self.parameter_rules})
        return {"runtimeType": self.runtime, **translated, **({"isStream": True} if stream else {})}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Drop the parameter that the model rejected, with a warning."""
        return relax_oci_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return self.decoder_class()


class OCIGenerateTextLlama(OCIGenerateTextCohere):
    """Dialect of `/actions/generateText` with `runtimeType` LLAMA."""

    name = "oci-generate-text-llama"
    runtime: ClassVar[str] = "LLAMA"
    decoder_class: ClassVar[type[OCIDecoder]] = LlamaTextDecoder
    parameter_rules: ClassVar[dict[str, ParameterRule]] = {
        "stop": oci.list_as("stop"),
        "logprobs": lambda value: {"logProbs": 1 if value is True else value} if value else {},
    }


_PARAMETER_RULES: dict[str, ParameterRule] = {
    **oci.COMMON_PARAMETERS,
    "max_tokens": oci.rename_to("maxTokens"),
    "n": oci.rename_to("numGenerations"),
    "echo": oci.rename_to("isEcho"),
}
