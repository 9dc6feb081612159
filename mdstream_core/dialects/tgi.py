"""Dialect of TGI's `generate` API: `inputs` and `parameters`. For TGI's Messages API use `openai-chat`."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continuation import build_continuation
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._parameter_fallback import relax_parameters
from mdstream_core.dialects.huggingface import HuggingFaceDecoder, build_parameters, build_prompt
from mdstream_core.errors import MDStreamError
from mdstream_core.events import ModelResponse


class TGI:
    """Dialect of TGI's text generation. Messages are sent without the model's chat template: prefer `openai-chat`.

    Images are sent as Markdown within the text, the form of TGI's documentation for vision models, in tool results too.
    """

    name = "tgi"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body. `details` requests finish reason and token count; a JSON Schema becomes a grammar."""
        parameters = {"details": True, "return_full_text": False, **build_parameters(params, stop="stop")}
        if grammar := _grammar(params.get("response_format")):
            parameters["grammar"] = grammar
        return {"inputs": build_prompt(params, image=_markdown_image), "parameters": parameters, "stream": stream}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Drop the field of `parameters` that the server rejected, with a warning."""
        return relax_parameters(payload, error)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Return the request with the received output appended."""
        return build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return HuggingFaceDecoder(self.name)


def _markdown_image(url: str) -> str:
    """Return an image as Markdown. Parentheses would end the URL; in the text of a data URI there are none."""
    return f"![]({url.replace('(', '%28').replace(')', '%29')})"


def _grammar(response_format: Any) -> dict[str, Any] | None:
    match response_format:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return {"type": "json", "value": schema}
        case {"type": "json_object"}:
            return {"type": "json", "value": {"type": "object"}}
        case _:
            return None
