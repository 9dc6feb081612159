"""Dialects for reranking: scores for the relevance of documents to a query.

| dialect | server | response |
|---|---|---|
| `rerank` | vLLM, infinity, MaaS (`/v1/rerank`) | `{"results": [{"index", "relevance_score"}]}` |
| `score` | vLLM (`/v1/score`) | `{"data": [{"index", "score"}]}` |
| `tei-rerank` | TEI, on SageMaker too (`/rerank`) | `[{"index", "score"}]` |
| `oci-rerank-text` | OCI Generative AI | `{"documentRanks": [{"index", "relevanceScore"}]}` |
| `auto-rerank` | a container that is TEI or vLLM | |

Request parameters are `{"query", "documents": [texts], "top_n", "model", …}`. Scores are returned best first.
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
    """Decoder for a ranking in any of the shapes."""

    def _is_response(self, document: Any) -> bool:
        return not isinstance(document, dict) or any(name in document for name in _LISTS)

    def _read(self, document: Any) -> list[Event]:
        metadata: list[Event] = []
        rows = document
        if isinstance(document, dict):
            rows = next((document[name] for name in _LISTS if name in document), None)
            metadata = [
                ResponseMetadata(document.get("model") or document.get("modelId"), document.get("id")),
                *read_usage(document),
            ]
        scores = [_read_score(row, at) for at, row in enumerate(rows)]
        indices = [score.index for score in scores]
        if wrong := describe_wrong_indices(indices, max(indices, default=0) + 1, complete=False):
            raise InvalidDocument(f"{len(scores)} scores: {wrong}")
        return [*metadata, *sorted(scores, key=lambda score: -score.score)]


def _read_score(row: Mapping[str, Any], at: int) -> RerankScore:
    index = parse_index(row["index"], at)
    score = next((row[name] for name in _SCORES if name in row), None)
    if not isinstance(score, int | float) or isinstance(score, bool) or not isfinite(score):
        raise InvalidDocument(f"the score of index {index} is {str(score)[:40]}, which is not a finite number")
    return RerankScore(float(score), index)


class Rerank(NotResumableMixin):
    """Dialect of `/v1/rerank`."""

    name = "rerank"
    route = "/v1/rerank"
    input_field = "documents"
    max_batch_size = DEFAULT_MAX_BATCH_SIZE
    field_names: Mapping[str, str] = {}  #: the server's names of parameters; an empty name drops the parameter

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body with the server's names."""
        renamed = {self.field_names.get(name, name): value for name, value in params.items() if value is not None}
        return {name: value for name, value in renamed.items() if name}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Return `None`: no parameter can be dropped."""
        return None

    def create_decoder(self) -> RerankDecoder:
        """Create a decoder for one response."""
        return RerankDecoder()


class TEIRerank(Rerank):
    """Dialect of TEI's `/rerank`, which returns scores for all documents."""

    name = "tei-rerank"
    route = "/rerank"
    max_batch_size = TEI_MAX_BATCH_SIZE
    field_names = {"documents": "texts", "model": "", "top_n": ""}  # noqa: RUF012  # a constant of the class


class AutoRerank(TEIRerank):
    """Dialect that sends TEI's form, and after an error `documents` (vLLM)."""

    name = "auto-rerank"
    route = "/invocations"
    field_names = {"documents": "texts", "top_n": ""}  # noqa: RUF012

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Convert the request to Cohere's form if it was rejected for its form."""
        if "texts" in payload and is_format_error(error):
            return {"documents" if name == "texts" else name: value for name, value in payload.items()}
        return None


class Score(Rerank):
    """Dialect of vLLM's `/v1/score`, which returns scores for all documents."""

    name = "score"
    route = "/v1/score"
    field_names = {"query": "text_1", "documents": "text_2", "top_n": ""}  # noqa: RUF012


class OCIRerankText(Rerank):
    """Dialect of OCI Generative AI's `rerankText`."""

    name = "oci-rerank-text"
    route = "/actions/rerankText"
    max_batch_size = 1000  # Cohere's limit
    field_names = {"query": "input"}  # noqa: RUF012

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body; field names in the spelling of the SDK for Python are converted to camel case."""
        return {to_camel_case(name): value for name, value in super().build_payload(params, stream=stream).items()}
