"""DJL's Large Model Inference containers, and JumpStart's first Llamas, which were built on them.

Source: deepjavalibrary/djl-serving @d21927c (the schema of `inputs` and `build_parameters`). LMI's chat is
`openai-chat`,
which it streams as JSON lines.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continuation import build_continuation
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._parameter_fallback import relax_parameters
from mdstream_core.dialects.huggingface import HuggingFaceDecoder, build_parameters, build_prompt
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse


class LMI:
    """`inputs` and `build_parameters`; rolling batch, the new handler, and dynamic batch."""

    name = "lmi"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`details` brings the finish reason and the count of tokens."""
        asked = {"details": True, **build_parameters(params, stop="stop_sequences")}
        if wanted := params.get("response_format"):
            asked["response_format"] = wanted
        return {"inputs": build_prompt(params), "parameters": asked, "stream": stream}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without the one of the `build_parameters` that the server refuses, if it can be spared; warns."""
        return relax_parameters(payload, error)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """The question with what was said behind it."""
        return build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """A fresh decoder."""
        return HuggingFaceDecoder(self.name)


class JumpStartLlama(LMI):
    """JumpStart's Llama 2: a dialogue as `inputs`, answered whole. Wants `custom_attributes="accept_eula=true"`."""

    name = "jumpstart-llama"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The messages themselves, as the first and only dialogue of a batch."""
        messages = params.get("messages")
        asked = build_parameters(params, stop="stop")
        return {"inputs": [list(messages)] if messages else build_prompt(params), "parameters": asked}
