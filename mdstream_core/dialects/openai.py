"""The OpenAI formats, chat and completions: requests. Responses are read by `_openai_decoder`."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continuation import build_continuation
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._huggingface_names import to_openai_names
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.dialects._openai_families import adapt_payload
from mdstream_core.dialects._parameter_fallback import OPENAI, relax_payload
from mdstream_core.dialects._tool_results import with_call_ids
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse


class OpenAIChat:
    """`/v1/chat/completions`."""

    name = "openai-chat"
    route = "/v1/chat/completions"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question, with the wish for a stream and its usage; without what the model is known to refuse."""
        body = {name: value for name, value in to_openai_names(params).items() if value is not None}
        if messages := body.get("messages"):
            body["messages"] = with_call_ids(messages, across_turns=False)
        if stream:
            body["stream"] = True
            if "stream_options" not in params:  # `None` is a wish, not to send any
                body["stream_options"] = {"include_usage": True}
        return adapt_payload(body) if "messages" in body else body

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without the one parameter that the server refuses, or under its other name; warns."""
        return relax_payload(payload, error, OPENAI)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """The question with what was said behind it."""
        return build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """A fresh decoder."""
        return OpenAIDecoder()


class OpenAICompletions(OpenAIChat):
    """`/v1/completions`: the question has `prompt` in place of `messages`."""

    name = "openai-completions"
    route = "/v1/completions"
