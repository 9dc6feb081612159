"""The OpenAI formats, chat and completions: requests. Responses are read by `_openai_decoder`."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continued import continued
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._native_names import to_openai_names
from mdstream_core.dialects._openai_decoder import OpenAIDecoder
from mdstream_core.dialects._openai_families import adapted
from mdstream_core.dialects._parameter_fallback import OPENAI, relaxed
from mdstream_core.dialects._tool_rounds import with_call_ids
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply


class OpenAIChat:
    """`/v1/chat/completions`."""

    name = "openai-chat"
    route = "/v1/chat/completions"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question, with the wish for a stream and its usage; without what the model is known to refuse."""
        body = {name: value for name, value in to_openai_names(question).items() if value is not None}
        if messages := body.get("messages"):
            body["messages"] = with_call_ids(messages, across_turns=False)
        if stream:
            body["stream"] = True
            if "stream_options" not in question:  # `None` is a wish, not to send any
                body["stream_options"] = {"include_usage": True}
        return adapted(body) if "messages" in body else body

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without the one parameter that the server refuses, or under its other name; warns."""
        return relaxed(body, error, OPENAI)

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """The question with what was said behind it."""
        return continued(body, said)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return OpenAIDecoder()


class OpenAICompletions(OpenAIChat):
    """`/v1/completions`: the question has `prompt` in place of `messages`."""

    name = "openai-completions"
    route = "/v1/completions"
