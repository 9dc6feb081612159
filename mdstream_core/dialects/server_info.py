"""Dialects that query a model server: its models, and the number of tokens of a text.

| dialect | server | response |
|---|---|---|
| `models` | vLLM, SGLang, llama.cpp, TGI, MaaS (`GET /v1/models`) | `{"data": [{"id", "max_model_len", …}]}` |
| `tokenize` | vLLM, SGLang (`/tokenize`) | `{"count", "max_model_len", "tokens"}` |

Responses differ between servers, so they are returned unchanged, as `ProviderData` with the dialect's name.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._dialect import NotResumableMixin
from mdstream_core.dialects._json_document import JSONDocumentDecoder
from mdstream_core.dialects._tool_media import move_tool_media
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ProviderData


class ServerInfoDecoder(JSONDocumentDecoder):
    """Decoder that returns one document as `ProviderData`."""

    def __init__(self, name: str, required_field: str) -> None:
        super().__init__()
        self._name = name
        self._required_field = required_field

    def _is_response(self, document: Any) -> bool:
        return isinstance(document, dict) and self._required_field in document

    def _read(self, document: Any) -> list[Event]:
        document[self._required_field]  # raises `KeyError` for a response of another kind
        return [ProviderData(self._name, _json.check_depth(document))]


class Models(NotResumableMixin):
    """Dialect of `GET /v1/models`; requests have no body."""

    name = "models"
    route = "/v1/models"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Return an empty body."""
        return {}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Return `None`: no parameter can be dropped."""
        return None

    def create_decoder(self) -> ServerInfoDecoder:
        """Create a decoder for one response."""
        return ServerInfoDecoder(self.name, "data")


class Tokenize(Models):
    """Dialect of `/tokenize`, for `messages` (with the chat template) or a `prompt`."""

    name = "tokenize"
    route = "/tokenize"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Return the parameters without those that are `None`; messages are those that `openai-chat` sends."""
        payload = {name: value for name, value in params.items() if value is not None}
        return {**payload, "messages": move_tool_media(payload["messages"])} if "messages" in payload else payload

    def create_decoder(self) -> ServerInfoDecoder:
        """Create a decoder for one response."""
        return ServerInfoDecoder(self.name, "count")
