"""TGI's own `generate`: `inputs` and `build_parameters`. Its Messages API is `openai-chat`."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continuation import build_continuation
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._parameter_fallback import relax_parameters
from mdstream_core.dialects.huggingface import HuggingFaceDecoder, build_parameters, build_prompt
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse


class TGI:
    """A text is continued: messages are written without the model's chat template, so prefer `openai-chat`."""

    name = "tgi"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`details` brings the finish reason and the count of tokens; a JSON schema becomes a grammar."""
        asked = {"details": True, "return_full_text": False, **build_parameters(params, stop="stop")}
        if grammar := _grammar(params.get("response_format")):
            asked["grammar"] = grammar
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


def _grammar(wanted: Any) -> dict[str, Any] | None:
    match wanted:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return {"type": "json", "value": schema}
        case {"type": "json_object"}:
            return {"type": "json", "value": {"type": "object"}}
        case _:
            return None
