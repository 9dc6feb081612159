"""Embeddings: texts → vectors, in the four shapes that servers answer.

| dialect | who | question | answer |
|---|---|---|---|
| `openai-embeddings` | vLLM, llama.cpp, infinity | `input` | `{"data": [{"index", "embedding"}]}`, numbers or base64 |
| `tei-embeddings` | TEI, LMI; on SageMaker too | `inputs` | `[[…]]`, or one bare vector |
| `oci-embed-text` | OCI Generative AI | `inputs` in an envelope | `{"embeddings"}` or `{"embeddingsByType"}` |

A question is `{"input": [texts], "model", "dimensions", "input_type": "query" | "document", …}`; whatever else stands
in it is sent as it is. The vectors come in the order of the texts.
"""

import base64
import sys
from array import array
from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._documents import DocumentDecoder
from mdstream_core.errors import InvalidRequest, MDStreamError
from mdstream_core.events import Embedding, Event, Served, Usage

#: Inputs of one request to OCI (oracle/langchain-oracle; not in the SDK).
OCI_MOST = 96

_KEYS = frozenset({"data", "embeddings", "embeddingsByType"})
_OCI_KINDS = {"query": "SEARCH_QUERY", "document": "SEARCH_DOCUMENT"}


class EmbeddingDecoder(DocumentDecoder):
    """Reads vectors in any of the shapes."""

    def _is_one(self, document: Any) -> bool:
        return not isinstance(document, dict) or any(
            name in document for name in ("data", "embeddings", "embeddingsByType")
        )

    def _read(self, document: Any) -> list[Event]:
        found = sorted(_vectors(document), key=lambda one: one.index)
        if [one.index for one in found] != list(range(len(found))):
            raise ValueError("the vectors' indices are not 0, 1, 2 …")
        if not isinstance(document, dict):
            return [*found]
        beside: list[Event] = [Served(document.get("model") or document.get("modelId"), document.get("id"))]
        return [*beside, *found, *_usage(document.get("usage") or {})]


class OpenAIEmbeddings:
    """`/v1/embeddings`. Numbers travel as base64, which is a third of the bytes and a tenth of the time."""

    name = "openai-embeddings"
    route = "/v1/embeddings"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question, with the wish for base64."""
        asked = {name: value for name, value in question.items() if value is not None and name != "input_type"}
        return {"encoding_format": "base64", **asked}

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without `encoding_format`, where a server does not know it: the numbers are the same."""
        told = f"{error} {error.raw or ''}"
        if isinstance(error, InvalidRequest) and "encoding_format" in body and "encoding_format" in told:
            return {name: value for name, value in body.items() if name != "encoding_format"}
        return None

    def decoder(self) -> EmbeddingDecoder:
        """A fresh decoder."""
        return EmbeddingDecoder()


class TEIEmbeddings(OpenAIEmbeddings):
    """`/embed` of TEI, and LMI's embeddings."""

    name = "tei-embeddings"
    route = "/embed"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`inputs`; a model has no name here."""
        left_out = {"input", "model", "input_type"}
        asked = {name: value for name, value in question.items() if value is not None and name not in left_out}
        return {"inputs": question["input"], **asked}


class OCIEmbedText(OpenAIEmbeddings):
    """`embedText` of OCI Generative AI: at most 96 texts a request."""

    name = "oci-embed-text"
    route = "/actions/embedText"

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`inputs`, `inputType`, `outputDimensions`; the platform puts them into its envelope."""
        texts = question["input"]
        if len(texts) > OCI_MOST:
            raise InvalidRequest(
                f"input has {len(texts)} texts; embedText takes {OCI_MOST} at most: send them in batches"
            )
        kind = question.get("input_type")
        named = {
            "inputs": texts,
            "inputType": _OCI_KINDS.get(kind, kind) if kind else None,
            "outputDimensions": question.get("dimensions"),
        }
        left_out = {"input", "input_type", "dimensions"}
        rest = {name: value for name, value in question.items() if name not in left_out}
        return {name: value for name, value in {**named, **rest}.items() if value is not None}


def _vectors(document: Any) -> list[Embedding]:
    if isinstance(document, dict) and "data" in document:
        return [Embedding(_numbers(one["embedding"]), one.get("index", at)) for at, one in enumerate(document["data"])]
    if isinstance(document, dict):
        by_type = document.get("embeddingsByType") or {}
        rows = document.get("embeddings") or by_type.get("float") or next(iter(by_type.values()))
    else:
        rows = document if document and isinstance(document[0], list | str) else [document]
    return [Embedding(_numbers(row), at) for at, row in enumerate(rows)]


def _numbers(value: list[float] | str) -> list[float]:
    """Numbers as they are, or little-endian 32-bit floats in base64."""
    if not isinstance(value, str):
        if not value or not all(isinstance(number, int | float) for number in value):
            raise TypeError("a vector of something else than numbers")
        return value
    packed = array("f", base64.b64decode(value, validate=True))
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


def _usage(usage: Mapping[str, Any]) -> list[Event]:
    tokens = usage.get("prompt_tokens") or usage.get("promptTokens") or 0
    return [Usage(tokens, 0, usage.get("total_tokens") or usage.get("totalTokens") or tokens)] if usage else []
