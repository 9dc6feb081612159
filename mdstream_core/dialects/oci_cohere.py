"""Dialects of COHERE and COHEREV2, OCI Generative AI's formats for Cohere's models.

    data: {"apiFormat":"COHERE","text":"Why","pad":"…"}
    data: {"apiFormat":"COHERE","text":"<the whole output again>","finishReason":"COMPLETE","citations":[…],"usage":{…}}

    data: {"apiFormat":"COHEREV2","message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":"Hi"}]}}
    data: {"apiFormat":"COHEREV2","message":{"role":"ASSISTANT"},"finishReason":"COMPLETE"}

The finish event is the last one and has the usage, if there is any; the connection may stay open after it. COHERE has
no ids for tool calls and sends their arguments as an object. Sources: see `_oci_responses`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core.dialects import _oci_cohere_requests, _oci_cohere_v2_requests
from mdstream_core.dialects._choice_decoder import has_output, require_text
from mdstream_core.dialects._content_parts import read_content
from mdstream_core.dialects._dialect import Decoder, NotResumableMixin
from mdstream_core.dialects._finish_reasons import read_finish_reason
from mdstream_core.dialects._oci_model_quirks import relax_oci_payload
from mdstream_core.dialects._oci_requests import Json, stream_options
from mdstream_core.dialects._oci_responses import OCIChoice, OCIDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Logprobs, TextDelta

#: Fields that are passed through as `ProviderData`.
_PROVIDER_FIELDS = frozenset({"citations", "documents", "searchQueries", "isSearchRequired"})


class _BaseCohereDecoder(OCIDecoder):
    """Base class of the decoders of both formats: the last event may repeat the output."""

    def __init__(self) -> None:
        super().__init__()
        self._reported_calls: Counter[bytes] = Counter()

    def _text(self, text: Any, choice: OCIChoice, events: list[Event], *, last: bool) -> None:
        if isinstance(text, str) and text and not last:  # a token
            choice.text.write(text)
            events.append(TextDelta(text, choice.index))
        elif remaining := choice.remaining_text(require_text(text)) if text and last else text:
            choice.add_text(remaining, events)

    def _calls(self, calls: list[Json], choice: OCIChoice, events: list[Event], *, last: bool) -> None:
        """Read tool calls, except those that the last event repeats. The same call twice in one event is two calls."""
        for call in calls:
            serialized = json.dumps(call, sort_keys=True).encode()
            if last and self._reported_calls[serialized]:
                self._reported_calls[serialized] -= 1
                continue
            self._reported_calls[serialized] += not last
            events.extend(self._call(call, choice))

    def _call(self, call: Json, choice: OCIChoice) -> list[Any]:
        return list(choice.calls.read([call]))

    def _end(self, response: Mapping[str, Any], choice: OCIChoice, events: list[Event]) -> None:
        usage = response.get("usage")
        self.add_usage(usage, events)
        if reason := response.get("finishReason"):
            self.finish_choice(choice, reason, events, response)
        if usage and not has_output(events):
            self.confirm(events)


class CohereDecoder(_BaseCohereDecoder):
    """Decoder for one response in format COHERE."""

    api_format: ClassVar[str] = "COHERE"

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Append the events of a payload to `events`."""
        response = payload.get("chatResponse") or payload
        reason = response.get("finishReason")
        last = bool(reason and read_finish_reason(reason))
        if not last and "text" not in response and "toolCalls" not in response:
            self.add_provider_data(response, _PROVIDER_FIELDS, events)
            return
        choice = self.choice(0)
        self._text(response.get("text"), choice, events, last=last)
        if calls := response.get("toolCalls"):
            self._calls(calls, choice, events, last=last)
        self.add_provider_data(response, _PROVIDER_FIELDS, events)
        if reason or "usage" in response:
            self._end(response, choice, events)
        self.add_metadata(events, payload.get("modelId"))

    def _call(self, call: Json, choice: OCIChoice) -> list[Any]:
        """Read a whole call, which has no id."""
        return list(choice.calls.read([{"name": call["name"], "arguments": call.get("parameters") or {}}]))


class CohereV2Decoder(_BaseCohereDecoder):
    """Decoder for one response in format COHEREV2."""

    api_format: ClassVar[str] = "COHEREV2"

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Append the events of a payload to `events`."""
        response = payload.get("chatResponse") or payload
        message, reason = response.get("message") or {}, response.get("finishReason")
        last = bool(reason and read_finish_reason(reason))
        if not message and not last:
            return
        choice = self.choice(0)
        if plan := message.get("toolPlan"):
            choice.add_reasoning(plan, events)
        for part in _parts(message.get("content")):
            if str(part.get("type") or "text").lower() == "text":
                self._text(part.get("text"), choice, events, last=last)
            else:
                read_content(part, choice, events)
        self._calls(message.get("toolCalls") or [], choice, events, last=last)
        if probabilities := response.get("logProbabilities"):
            events.append(Logprobs(_json.check_depth([_logprob(entry) for entry in probabilities])))
        self.add_provider_data(message, _PROVIDER_FIELDS, events)
        self._end(response, choice, events)
        self.add_metadata(events, payload.get("modelId"), response.get("id"))


def _parts(content: Any) -> list[Json]:
    return [{"text": content}] if isinstance(content, str) else content or []


def _logprob(entry: Mapping[str, Any]) -> Json:
    """Convert the entry of one or several tokens, whose log probabilities are added."""
    logprobs = entry.get("logProbabilities") or [0.0]
    return {"token": entry.get("text") or "", "logprob": sum(logprobs), "token_ids": entry.get("tokenIds") or []}


class OCICohere(NotResumableMixin):
    """Dialect of `/actions/chat` with `apiFormat` COHERE."""

    name = "oci-cohere"
    route = "/actions/chat"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """Build the `chatRequest`. It contains the model name, which the platform moves to the envelope."""
        return {
            "apiFormat": "COHERE",
            **_oci_cohere_requests.build_request(params),
            **stream_options(params, stream=stream),
        }

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Drop the parameter that the model rejected, with a warning."""
        return relax_oci_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return CohereDecoder()


class OCICohereV2(OCICohere):
    """Dialect of `/actions/chat` with `apiFormat` COHEREV2."""

    name = "oci-cohere-v2"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """Build the `chatRequest`. It contains the model name, which the platform moves to the envelope."""
        return {
            "apiFormat": "COHEREV2",
            **_oci_cohere_v2_requests.build_request(params),
            **stream_options(params, stream=stream),
        }

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return CohereV2Decoder()
