"""Questions to a model server about itself: which models it serves, and how many tokens a text is.

| dialect | who | answer |
|---|---|---|
| `models` | vLLM, SGLang, llama.cpp, TGI, MaaS (`GET /v1/models`) | `{"data": [{"id", "max_model_len", …}]}` |
| `tokenize` | vLLM, SGLang (`/tokenize`) | `{"count", "max_model_len", "tokens"}` |

What they answer differs from server to server, so it comes as it is: an `ProviderData` of the dialect's name.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._dialect import NotResumableMixin
from mdstream_core.dialects._json_document import JSONDocumentDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ProviderData


class ServerInfoDecoder(JSONDocumentDecoder):
    """Reads one document and gives it on."""

    def __init__(self, name: str, required_field: str) -> None:
        super().__init__()
        self._name = name
        self._required_field = required_field

    def _is_response(self, document: Any) -> bool:
        return isinstance(document, dict) and self._required_field in document

    def _read(self, document: Any) -> list[Event]:
        document[self._required_field]  # an answer to another question has no such field
        return [ProviderData(self._name, _json.check_depth(document))]


class Models(NotResumableMixin):
    """`GET /v1/models`: the question has no body."""

    name = "models"
    route = "/v1/models"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Nothing."""
        return {}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """There is nothing to spare."""
        return None

    def create_decoder(self) -> ServerInfoDecoder:
        """A fresh decoder."""
        return ServerInfoDecoder(self.name, "data")


class Tokenize(Models):
    """`/tokenize` of `messages` (with the chat template) or of a `prompt`."""

    name = "tokenize"
    route = "/tokenize"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question as it is."""
        return {name: value for name, value in params.items() if value is not None}

    def create_decoder(self) -> ServerInfoDecoder:
        """A fresh decoder."""
        return ServerInfoDecoder(self.name, "count")
