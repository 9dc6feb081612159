"""Questions to a model server about itself: which models it serves, and how many tokens a text is.

| dialect | who | answer |
|---|---|---|
| `models` | vLLM, SGLang, llama.cpp, TGI, MaaS (`GET /v1/models`) | `{"data": [{"id", "max_model_len", …}]}` |
| `tokenize` | vLLM, SGLang (`/tokenize`) | `{"count", "max_model_len", "tokens"}` |

What they answer differs from server to server, so it comes as it is: an `Extra` of the dialect's name.
"""

from collections.abc import Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core.dialects._dialect import Final
from mdstream_core.dialects._documents import DocumentDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Extra


class InquiryDecoder(DocumentDecoder):
    """Reads one document and gives it on."""

    def __init__(self, name: str, needed: str) -> None:
        super().__init__()
        self._name = name
        self._needed = needed

    def _is_one(self, document: Any) -> bool:
        return isinstance(document, dict) and self._needed in document

    def _read(self, document: Any) -> list[Event]:
        document[self._needed]  # an answer to another question has no such field
        return [Extra(self._name, _json.check_depth(document))]


class Models(Final):
    """`GET /v1/models`: the question has no body."""

    name = "models"
    route = "/v1/models"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Nothing."""
        return {}

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """There is nothing to spare."""
        return None

    def decoder(self) -> InquiryDecoder:
        """A fresh decoder."""
        return InquiryDecoder(self.name, "data")


class Tokenize(Models):
    """`/tokenize` of `messages` (with the chat template) or of a `prompt`."""

    name = "tokenize"
    route = "/tokenize"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question as it is."""
        return {name: value for name, value in question.items() if value is not None}

    def decoder(self) -> InquiryDecoder:
        """A fresh decoder."""
        return InquiryDecoder(self.name, "count")
