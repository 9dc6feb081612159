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
from mdstream_core.dialects._dialect import Final
from mdstream_core.dialects._documents import DocumentDecoder, InvalidDocument, parse_index
from mdstream_core.dialects._oci_asking import camel
from mdstream_core.dialects._vectors import usage_of
from mdstream_core.dialects.embeddings import MOST, TEI_MOST, wants_another_form
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Ranked, Served

_LISTS = ("results", "documentRanks", "data")
_SCORES = ("relevance_score", "relevanceScore", "score")


class RankingDecoder(DocumentDecoder):
    """Reads a ranking in any of the shapes."""

    def _is_one(self, document: Any) -> bool:
        return not isinstance(document, dict) or any(name in document for name in _LISTS)

    def _read(self, document: Any) -> list[Event]:
        beside: list[Event] = []
        rows = document
        if isinstance(document, dict):
            rows = next((document[name] for name in _LISTS if name in document), None)
            beside = [Served(document.get("model") or document.get("modelId"), document.get("id")), *usage_of(document)]
        found = [_ranked(row, at) for at, row in enumerate(rows)]
        indices = [one.index for one in found]
        if wrong := describe_wrong_indices(indices, max(indices, default=0) + 1, complete=False):
            raise InvalidDocument(f"{len(found)} scores: {wrong}")
        return [*beside, *sorted(found, key=lambda one: -one.score)]


def _ranked(row: Mapping[str, Any], at: int) -> Ranked:
    index = parse_index(row["index"], at)
    score = next((row[name] for name in _SCORES if name in row), None)
    if not isinstance(score, int | float) or isinstance(score, bool) or not isfinite(score):
        raise InvalidDocument(f"the score of index {index} is {str(score)[:40]}, which is no finite number")
    return Ranked(float(score), index)


class Rerank(Final):
    """`/v1/rerank`."""

    name = "rerank"
    route = "/v1/rerank"
    field = "documents"
    most = MOST
    names: Mapping[str, str] = {}

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question, in the service's own names."""
        asked = {self.names.get(name, name): value for name, value in question.items() if value is not None}
        return {name: value for name, value in asked.items() if name}

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """There is nothing to spare."""
        return None

    def decoder(self) -> RankingDecoder:
        """A fresh decoder."""
        return RankingDecoder()


class TEIRerank(Rerank):
    """`/rerank` of TEI, which ranks all that it is given."""

    name = "tei-rerank"
    route = "/rerank"
    most = TEI_MOST
    names = {"documents": "texts", "model": "", "top_n": ""}  # noqa: RUF012  # a constant of the class


class AutoRerank(TEIRerank):
    """Asks as TEI wants it; a container that wants `documents` (vLLM) refuses that, and is asked once more."""

    name = "auto-rerank"
    route = "/invocations"
    names = {"documents": "texts", "top_n": ""}  # noqa: RUF012

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Cohere's question, if the first one was refused for its form."""
        if "texts" in body and wants_another_form(error):
            return {"documents" if name == "texts" else name: value for name, value in body.items()}
        return None


class Score(Rerank):
    """`/v1/score` of vLLM: the query beside each document. It scores all that it is given."""

    name = "score"
    route = "/v1/score"
    names = {"query": "text_1", "documents": "text_2", "top_n": ""}  # noqa: RUF012


class OCIRerankText(Rerank):
    """`rerankText` of OCI Generative AI."""

    name = "oci-rerank-text"
    route = "/actions/rerankText"
    most = 1000  # as many as Cohere takes
    names = {"query": "input"}  # noqa: RUF012

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question; its further fields are native, in the spelling of the SDK or not."""
        return {camel(name): value for name, value in super().body(question, stream=stream).items()}
