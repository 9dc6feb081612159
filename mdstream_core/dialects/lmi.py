"""Dialects of DJL's Large Model Inference (LMI) containers, and of JumpStart's Llama 2, which was built on them.

Source: deepjavalibrary/djl-serving @d21927c (the schema of `inputs` and `parameters`). For LMI's chat API use
`openai-chat`; LMI streams it as JSON lines.
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
    """Dialect of LMI's `inputs` and `parameters`; for rolling batch, the new handler and dynamic batch."""

    name = "lmi"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body. `details` requests the finish reason and the number of tokens."""
        parameters = {"details": True, **build_parameters(params, stop="stop_sequences")}
        if response_format := params.get("response_format"):
            parameters["response_format"] = response_format
        return {"inputs": build_prompt(params), "parameters": parameters, "stream": stream}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Drop the field of `parameters` that the server rejected, with a warning."""
        return relax_parameters(payload, error)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Return the request with the received output appended."""
        return build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return HuggingFaceDecoder(self.name)


class JumpStartLlama(LMI):
    """Dialect of JumpStart's Llama 2: a dialog as `inputs`, without streaming.

    The endpoint requires `custom_attributes="accept_eula=true"`.
    """

    name = "jumpstart-llama"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body with the messages as the only dialog of a batch."""
        messages = params.get("messages")
        parameters = build_parameters(params, stop="stop")
        return {"inputs": [list(messages)] if messages else build_prompt(params), "parameters": parameters}
