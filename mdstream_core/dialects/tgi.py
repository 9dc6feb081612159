"""TGI's own `generate`: `inputs` and `parameters`. Its Messages API is `openai-chat`."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._continued import continued
from mdstream_core.dialects._dialect import Decoder
from mdstream_core.dialects._native import NativeDecoder, parameters, prompt
from mdstream_core.dialects._parameter_fallback import relaxed_inside
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply


class TGI:
    """A text is continued: messages are written without the model's chat template, so prefer `openai-chat`."""

    name = "tgi"
    route = "/invocations"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`details` brings the finish reason and the count of tokens; a JSON schema becomes a grammar."""
        asked = {"details": True, "return_full_text": False, **parameters(question, stop="stop")}
        if grammar := _grammar(question.get("response_format")):
            asked["grammar"] = grammar
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


def _grammar(wanted: Any) -> dict[str, Any] | None:
    match wanted:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return {"type": "json", "value": schema}
        case {"type": "json_object"}:
            return {"type": "json", "value": {"type": "object"}}
        case _:
            return None
