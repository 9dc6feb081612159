"""Dialects of the OpenAI API: chat completions and completions. `_openai_decoder` decodes the responses."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continuation import build_continuation
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._huggingface_names import to_openai_names
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.dialects._openai_families import adapt_payload
from mdstream_core.dialects._parameter_fallback import OPENAI, relax_payload
from mdstream_core.dialects._tool_media import move_tool_media
from mdstream_core.dialects._tool_results import have_tools, with_call_ids
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse


class OpenAIChat:
    """Dialect of `/v1/chat/completions`."""

    name = "openai-chat"
    route = "/v1/chat/completions"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body, which requests the usage of a stream.

        Parameters that the model is known to reject are dropped, and media of tool results are moved to user messages.
        """
        payload = {name: value for name, value in to_openai_names(params).items() if value is not None}
        if (messages := payload.get("messages")) and have_tools(messages):
            payload["messages"] = move_tool_media(with_call_ids(messages, across_turns=False))
        if stream:
            payload["stream"] = True
            if "stream_options" not in params:  # an explicit `None` means that none are sent
                payload["stream_options"] = {"include_usage": True}
        return adapt_payload(payload) if "messages" in payload else payload

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Drop or rename the parameter that the server rejected, with a warning."""
        return relax_payload(payload, error, OPENAI)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Return the request with the received output appended."""
        return build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return OpenAIDecoder()


class OpenAICompletions(OpenAIChat):
    """Dialect of `/v1/completions`: requests have a `prompt` in place of `messages`."""

    name = "openai-completions"
    route = "/v1/completions"
