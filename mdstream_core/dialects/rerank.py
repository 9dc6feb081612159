"""Reranking: how well each document fits a query, in the shapes that servers answer.

| dialect | who | answer |
|---|---|---|
| `rerank` | vLLM, infinity, MaaS (`/v1/rerank`) | `{"results": [{"index", "relevance_score"}]}` |
| `score` | vLLM (`/v1/score`) | `{"data": [{"index", "score"}]}` |
| `tei-rerank` | TEI, on SageMaker too (`/rerank`) | `[{"index", "score"}]` |
| `oci-rerank-text` | OCI Generative AI | `{"documentRanks": [{"index", "relevanceScore"}]}` |
| `auto-rerank` | TEI or vLLM, whichever the container is | |

A question is `{"query", "documents": [texts], "top_n", "model", …}`. The best document comes first.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from mdstream_core._indices import describe_wrong_indices
from mdstream_core.dialects._dialect import NotResumableMixin
from mdstream_core.dialects._embedding_decoder import read_usage
from mdstream_core.dialects._json_document import InvalidDocument, JSONDocumentDecoder, parse_index
from mdstream_core.dialects._oci_requests import to_camel_case
from mdstream_core.dialects.embeddings import DEFAULT_MAX_BATCH_SIZE, TEI_MAX_BATCH_SIZE, is_format_error
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, RerankScore, ResponseMetadata

_LISTS = ("results", "documentRanks", "data")
_SCORES = ("relevance_score", "relevanceScore", "score")


class RerankDecoder(JSONDocumentDecoder):
    """Reads a ranking in any of the shapes."""

    def _is_response(self, document: Any) -> bool:
        return not isinstance(document, dict) or any(name in document for name in _LISTS)

    def _read(self, document: Any) -> list[Event]:
        beside: list[Event] = []
        rows = document
        if isinstance(document, dict):
            rows = next((document[name] for name in _LISTS if name in document), None)
            beside = [
                ResponseMetadata(document.get("model") or document.get("modelId"), document.get("id")),
                *read_usage(document),
            ]
        found = [_read_score(row, at) for at, row in enumerate(rows)]
        indices = [one.index for one in found]
        if wrong := describe_wrong_indices(indices, max(indices, default=0) + 1, complete=False):
            raise InvalidDocument(f"{len(found)} scores: {wrong}")
        return [*beside, *sorted(found, key=lambda one: -one.score)]


def _read_score(row: Mapping[str, Any], at: int) -> RerankScore:
    index = parse_index(row["index"], at)
    score = next((row[name] for name in _SCORES if name in row), None)
    if not isinstance(score, int | float) or isinstance(score, bool) or not isfinite(score):
        raise InvalidDocument(f"the score of index {index} is {str(score)[:40]}, which is no finite number")
    return RerankScore(float(score), index)


class Rerank(NotResumableMixin):
    """`/v1/rerank`."""

    name = "rerank"
    route = "/v1/rerank"
    input_field = "documents"
    max_batch_size = DEFAULT_MAX_BATCH_SIZE
    field_names: Mapping[str, str] = {}

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question, in the service's own names."""
        asked = {self.field_names.get(name, name): value for name, value in params.items() if value is not None}
        return {name: value for name, value in asked.items() if name}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """There is nothing to spare."""
        return None

    def create_decoder(self) -> RerankDecoder:
        """A fresh decoder."""
        return RerankDecoder()


class TEIRerank(Rerank):
    """`/rerank` of TEI, which ranks all that it is given."""

    name = "tei-rerank"
    route = "/rerank"
    max_batch_size = TEI_MAX_BATCH_SIZE
    field_names = {"documents": "texts", "model": "", "top_n": ""}  # noqa: RUF012  # a constant of the class


class AutoRerank(TEIRerank):
    """Asks as TEI wants it; a container that wants `documents` (vLLM) refuses that, and is asked once more."""

    name = "auto-rerank"
    route = "/invocations"
    field_names = {"documents": "texts", "top_n": ""}  # noqa: RUF012

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Cohere's question, if the first one was refused for its form."""
        if "texts" in payload and is_format_error(error):
            return {"documents" if name == "texts" else name: value for name, value in payload.items()}
        return None


class Score(Rerank):
    """`/v1/score` of vLLM: the query beside each document. It scores all that it is given."""

    name = "score"
    route = "/v1/score"
    field_names = {"query": "text_1", "documents": "text_2", "top_n": ""}  # noqa: RUF012


class OCIRerankText(Rerank):
    """`rerankText` of OCI Generative AI."""

    name = "oci-rerank-text"
    route = "/actions/rerankText"
    max_batch_size = 1000  # as many as Cohere takes
    field_names = {"query": "input"}  # noqa: RUF012

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question; its further fields are native, in the spelling of the SDK or not."""
        return {to_camel_case(name): value for name, value in super().build_payload(params, stream=stream).items()}
