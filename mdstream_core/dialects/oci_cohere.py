"""COHERE and COHEREV2, the two formats in which OCI Generative AI speaks with Cohere's models.

    data: {"apiFormat":"COHERE","text":"Why","pad":"…"}
    data: {"apiFormat":"COHERE","text":"<the whole answer again>","finishReason":"COMPLETE","citations":[…],"usage":{…}}

    data: {"apiFormat":"COHEREV2","message":{"role":"ASSISTANT","content":[{"type":"TEXT","text":"Hi"}]}}
    data: {"apiFormat":"COHEREV2","message":{"role":"ASSISTANT"},"finishReason":"COMPLETE"}

The finish event is the last one, with the usage if there is any; the connection may stay open behind it. The first
format has no ids for tool calls and gives their arguments as an object. Sources: see `_oci_reading`.
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

#: What is said beside the answer.
_PROVIDER_FIELDS = frozenset({"citations", "documents", "searchQueries", "isSearchRequired"})


class _BaseCohereDecoder(OCIDecoder):
    """What both have in common: the last event may say again what was said."""

    def __init__(self) -> None:
        super().__init__()
        self._reported_calls: Counter[bytes] = Counter()

    def _text(self, text: Any, choice: OCIChoice, events: list[Event], *, last: bool) -> None:
        if isinstance(text, str) and text and not last:  # a token
            choice.text.write(text)
            events.append(TextDelta(text, choice.index))
        elif new := choice.remaining_text(require_text(text)) if text and last else text:
            choice.add_text(new, events)

    def _calls(self, calls: list[Json], choice: OCIChoice, events: list[Event], *, last: bool) -> None:
        """Calls that the last event repeats are left out; the same call twice in one event is two calls."""
        for call in calls:
            spelled = json.dumps(call, sort_keys=True).encode()
            if last and self._reported_calls[spelled]:
                self._reported_calls[spelled] -= 1
                continue
            self._reported_calls[spelled] += not last
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
    """Reads one answer in the first format."""

    api_format: ClassVar[str] = "COHERE"

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Add the events of a payload."""
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
        """A whole call, without an id."""
        return list(choice.calls.read([{"name": call["name"], "arguments": call.get("parameters") or {}}]))


class CohereV2Decoder(_BaseCohereDecoder):
    """Reads one answer in the second format."""

    api_format: ClassVar[str] = "COHEREV2"

    def read_payload(self, payload: dict[str, Any], events: list[Event]) -> None:
        """Add the events of a payload."""
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
            events.append(Logprobs(_json.check_depth([_logprob(one) for one in probabilities])))
        self.add_provider_data(message, _PROVIDER_FIELDS, events)
        self._end(response, choice, events)
        self.add_metadata(events, payload.get("modelId"), response.get("id"))


def _parts(content: Any) -> list[Json]:
    return [{"text": content}] if isinstance(content, str) else content or []


def _logprob(one: Mapping[str, Any]) -> Json:
    """Of a piece of one or several tokens; of their probabilities the logarithms add up."""
    logprobs = one.get("logProbabilities") or [0.0]
    return {"token": one.get("text") or "", "logprob": sum(logprobs), "token_ids": one.get("tokenIds") or []}


class OCICohere(NotResumableMixin):
    """`/actions/chat` with `apiFormat` COHERE."""

    name = "oci-cohere"
    route = "/actions/chat"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """The `chatRequest`. The model's name stays in it: the platform puts it into the envelope."""
        return {
            "apiFormat": "COHERE",
            **_oci_cohere_requests.build_request(params),
            **stream_options(params, stream=stream),
        }

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Without the one parameter that this model refuses; warns."""
        return relax_oci_payload(payload, error)

    def create_decoder(self) -> Decoder:
        """A fresh decoder."""
        return CohereDecoder()


class OCICohereV2(OCICohere):
    """`/actions/chat` with `apiFormat` COHEREV2."""

    name = "oci-cohere-v2"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """The `chatRequest`."""
        return {
            "apiFormat": "COHEREV2",
            **_oci_cohere_v2_requests.build_request(params),
            **stream_options(params, stream=stream),
        }

    def create_decoder(self) -> Decoder:
        """A fresh decoder."""
        return CohereV2Decoder()
