"""`generateText`, OCI Generative AI's first operation, with its two runtimes: a prompt in, text out.

    data: {"id":"aaa6fc53-…","text":" Why"}

Seen on the wire: the events of the Cohere runtime (an article of February 2024). That the last event has a
`finishReason` is assumed, from the models of the `oci` SDK; a stream without one is not taken for a whole answer.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects import _oci_requests as asking
from mdstream_core.dialects._choice_decoder import error_in_choice, is_error, require_text
from mdstream_core.dialects._dialect import Decoder, NotResumableMixin
from mdstream_core.dialects._finish_reasons import read_finish_reason
from mdstream_core.dialects._oci_model_quirks import relax_oci_payload
from mdstream_core.dialects._oci_requests import Json, Row
from mdstream_core.dialects._oci_responses import OCIDecoder, logprobs_event
from mdstream_core.errors import InvalidRequest, MDStreamError
from mdstream_core.events import Event, Logprobs


class GenerateTextDecoder(OCIDecoder):
    """Reads one answer of either runtime."""

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Add the events of a payload."""
        whole = payload.get("inferenceResponse")
        response = whole or payload
        several = response.get("generatedTexts") or response.get("choices")
        for at, wire in enumerate(several or ()):
            self._one(wire, events, wire.get("index", at), whole=whole is not None)
        if several is None and ("text" in payload or "finishReason" in payload):
            self._one(payload, events, payload.get("index"), whole=False)
        self.add_usage(response.get("usage"), events)
        first = (several or [{}])[0]
        self.add_metadata(events, payload.get("modelId"), payload.get("id") or first.get("id"))

    def _one(self, wire: Mapping[str, Any], events: list[Event], index: Any, *, whole: bool) -> None:
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
        if last or whole:  # a JSON document that could be read is whole; old models leave its reason out
            self.finish_choice(choice, reason if last else "stop", events, wire)


class CohereTextDecoder(GenerateTextDecoder):
    """Of the Cohere runtime."""

    api_format: ClassVar[str] = "COHERE"


class LlamaTextDecoder(GenerateTextDecoder):
    """Of the Llama runtime."""

    api_format: ClassVar[str] = "LLAMA"


class OCIGenerateTextCohere(NotResumableMixin):
    """`/actions/generateText` with `runtimeType` COHERE: the question has `prompt`."""

    name = "oci-generate-text-cohere"
    route = "/actions/generateText"
    runtime: ClassVar[str] = "COHERE"
    decoder_class: ClassVar[type[OCIDecoder]] = CohereTextDecoder
    parameter_map: ClassVar[dict[str, Row]] = {
        "stop": asking.list_as("stopSequences"),
        "logprobs": lambda wanted: {"returnLikelihoods": "GENERATION"} if wanted else {},
    }

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """The `inferenceRequest`. The model's name stays in it: the platform puts it into the envelope."""
        if not isinstance(params.get("prompt"), str):
            sentence = "generateText takes one prompt, a text; ask /actions/chat with messages"
            raise InvalidRequest(sentence, code="InvalidParameter")
        body = asking.translate_params(params, {**_PARAMETER_MAP, **self.parameter_map})
        return {"runtimeType": self.runtime, **body, **({"isStream": True} if stream else {})}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Without the one parameter that this model refuses; warns."""
        return relax_oci_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """A fresh decoder."""
        return self.decoder_class()


class OCIGenerateTextLlama(OCIGenerateTextCohere):
    """`/actions/generateText` with `runtimeType` LLAMA."""

    name = "oci-generate-text-llama"
    runtime: ClassVar[str] = "LLAMA"
    decoder_class: ClassVar[type[OCIDecoder]] = LlamaTextDecoder
    parameter_map: ClassVar[dict[str, Row]] = {
        "stop": asking.list_as("stop"),
        "logprobs": lambda wanted: {"logProbs": 1 if wanted is True else wanted} if wanted else {},
    }


_PARAMETER_MAP: dict[str, Row] = {
    **asking.NAMES,
    "max_tokens": asking.rename_to("maxTokens"),
    "n": asking.rename_to("numGenerations"),
    "echo": asking.rename_to("isEcho"),
}
