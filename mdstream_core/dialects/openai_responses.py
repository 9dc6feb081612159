"""Dialect of OpenAI's Responses API. `_responses_requests` builds its requests, `_responses_decoder` decodes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mdstream_core.dialects._dialect import Decoder, NotResumableMixin
from mdstream_core.dialects._openai_families import adapt_payload
from mdstream_core.dialects._parameter_fallback import OPENAI, relax_payload
from mdstream_core.dialects._responses_decoder import ResponsesDecoder
from mdstream_core.dialects._responses_requests import build_request
from mdstream_core.errors import MDStreamError

#: Parameters that are never dropped although a chat completion can do without them: a response is stored by default, so
#: that `store: false` must not be lost; the API has no `n`.
_NOT_DROPPED = frozenset({"store", "n", "best_of", "stream_options"})

_PARAMETERS = replace(
    OPENAI, optional={name: field for name, field in OPENAI.optional.items() if name not in _NOT_DROPPED}, renamed={}
)


class OpenAIResponses(NotResumableMixin):
    """Dialect of `/v1/responses`: typed items and events, built-in tools, and responses that the service stores.

    Parameters have the shape of chat completions; those that only this API has (`store`, `previous_response_id`,
    `conversation`, `include`, `instructions`, `reasoning` …) are passed through.
    """

    name = "openai-responses"
    route = "/v1/responses"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body. Drops parameters that the model is known to reject, with a warning."""
        return adapt_payload(build_request(params, stream=stream))

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Drop the parameter that the server rejected, with a warning."""
        return relax_payload(payload, error, _PARAMETERS)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return ResponsesDecoder()
