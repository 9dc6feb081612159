"""DJL's Large Model Inference containers, and JumpStart's first Llamas, which were built on them.

Source: deepjavalibrary/djl-serving @d21927c (the schema of `inputs` and `parameters`). LMI's chat is `openai-chat`,
which it streams as JSON lines.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continued import continued
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._native import NativeDecoder, parameters, prompt
from mdstream_core.dialects._parameter_fallback import relaxed_inside
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply


class LMI:
    """`inputs` and `parameters`; rolling batch, the new handler, and dynamic batch."""

    name = "lmi"
    route = "/invocations"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`details` brings the finish reason and the count of tokens."""
        asked = {"details": True, **parameters(question, stop="stop_sequences")}
        if wanted := question.get("response_format"):
            asked["response_format"] = wanted
        return {"inputs": prompt(question), "parameters": asked, "stream": stream}

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without the one of the `parameters` that the server refuses, if it can be spared; warns."""
        return relaxed_inside(body, error)

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """The question with what was said behind it."""
        return continued(body, said)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return NativeDecoder(self.name)


class JumpStartLlama(LMI):
    """JumpStart's Llama 2: a dialogue as `inputs`, answered whole. Wants `custom_attributes="accept_eula=true"`."""

    name = "jumpstart-llama"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The messages themselves, as the first and only dialogue of a batch."""
        messages = question.get("messages")
        asked = parameters(question, stop="stop")
        return {"inputs": [list(messages)] if messages else prompt(question), "parameters": asked}
