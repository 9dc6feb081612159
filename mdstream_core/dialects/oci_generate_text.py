"""`generateText`, OCI Generative AI's first operation, with its two runtimes: a prompt in, text out.

    data: {"id":"aaa6fc53-…","text":" Why"}

Seen on the wire: the events of the Cohere runtime (an article of February 2024). That the last event has a
`finishReason` is assumed, from the models of the `oci` SDK; a stream without one is not taken for a whole answer.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects import _oci_asking as asking
from mdstream_core.dialects._choice import error_in_choice, is_error, plain
from mdstream_core.dialects._dialect import Decoder, Final
from mdstream_core.dialects._finish_reasons import read_finish_reason
from mdstream_core.dialects._oci_asking import Json, Row
from mdstream_core.dialects._oci_quirks import simpler
from mdstream_core.dialects._oci_reading import OCIDecoder, logprobs_event
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
        self.count(response.get("usage"), events)
        first = (several or [{}])[0]
        self.name(events, payload.get("modelId"), payload.get("id") or first.get("id"))

    def _one(self, wire: Mapping[str, Any], events: list[Event], index: Any, *, whole: bool) -> None:
        choice, reason = self.choice(index), wire.get("finishReason")
        last = bool(read_finish_reason(reason))
        if text := wire.get("text"):
            new = choice.unsaid(plain(text)) if last else plain(text)
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
            self.finish(choice, reason if last else "stop", events, wire)


class CohereTextDecoder(GenerateTextDecoder):
    """Of the Cohere runtime."""

    api_format: ClassVar[str] = "COHERE"


class LlamaTextDecoder(GenerateTextDecoder):
    """Of the Llama runtime."""

    api_format: ClassVar[str] = "LLAMA"


class OCIGenerateTextCohere(Final):
    """`/actions/generateText` with `runtimeType` COHERE: the question has `prompt`."""

    name = "oci-generate-text-cohere"
    route = "/actions/generateText"
    runtime: ClassVar[str] = "COHERE"
    reads: ClassVar[type[OCIDecoder]] = CohereTextDecoder
    rows: ClassVar[dict[str, Row]] = {
        "stop": asking.listed("stopSequences"),
        "logprobs": lambda wanted: {"returnLikelihoods": "GENERATION"} if wanted else {},
    }

    def body(self, question: Mapping[str, Any], *, stream: bool) -> Json:
        """The `inferenceRequest`. The model's name stays in it: the platform puts it into the envelope."""
        if not isinstance(question.get("prompt"), str):
            sentence = "generateText takes one prompt, a text; ask /actions/chat with messages"
            raise InvalidRequest(sentence, code="InvalidParameter")
        body = asking.translated(question, {**_ROWS, **self.rows})
        return {"runtimeType": self.runtime, **body, **({"isStream": True} if stream else {})}

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Without the one parameter that this model refuses; warns."""
        return simpler(body, error)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return self.reads()


class OCIGenerateTextLlama(OCIGenerateTextCohere):
    """`/actions/generateText` with `runtimeType` LLAMA."""

    name = "oci-generate-text-llama"
    runtime: ClassVar[str] = "LLAMA"
    reads: ClassVar[type[OCIDecoder]] = LlamaTextDecoder
    rows: ClassVar[dict[str, Row]] = {
        "stop": asking.listed("stop"),
        "logprobs": lambda wanted: {"logProbs": 1 if wanted is True else wanted} if wanted else {},
    }


_ROWS: dict[str, Row] = {
    **asking.NAMES,
    "max_tokens": asking.named("maxTokens"),
    "n": asking.named("numGenerations"),
    "echo": asking.named("isEcho"),
}
