"""Embeddings: requests with texts, in the forms that servers take. Responses are read by `_vectors`.

| dialect | server | field with the texts |
|---|---|---|
| `openai-embeddings` | vLLM, llama.cpp, infinity | `input` |
| `tei-embeddings` | TEI, LMI, Hugging Face's toolkit; on SageMaker too | `inputs` |
| `jumpstart-embeddings` | SageMaker JumpStart's text embedding models | `text_inputs` |
| `oci-embed-text` | OCI Generative AI | `inputs` in an envelope |
| `auto-embeddings` | whichever of the first three the container takes | |

A question is `{"input": [texts], "model", "dimensions", "input_type": "query" | "document", …}`; whatever else stands
in it is sent as it is. The vectors come in the order of the texts.
"""

import re
from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._dialect import NotResumableMixin
from mdstream_core.dialects._embedding_decoder import EmbeddingDecoder
from mdstream_core.dialects._oci_requests import to_camel_case
from mdstream_core.errors import ContextOverflow, InvalidRequest, MDStreamError, ServiceError

#: Inputs of one request: to OCI (oracle/langchain-oracle; not in the SDK), to TEI (its `--max-client-batch-size`), and
#: to anything else, where the answer's 128 vectors of 4,096 numbers still are less than what is read of a document.
OCI_MAX_BATCH_SIZE, TEI_MAX_BATCH_SIZE, DEFAULT_MAX_BATCH_SIZE = 96, 32, 128

_OCI_KINDS = {"query": "SEARCH_QUERY", "document": "SEARCH_DOCUMENT"}


class OpenAIEmbeddings(NotResumableMixin):
    """`/v1/embeddings`. Numbers travel as base64, which is a third of the bytes and a tenth of the time."""

    name = "openai-embeddings"
    route = "/v1/embeddings"
    input_field = "input"
    max_batch_size = DEFAULT_MAX_BATCH_SIZE

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question, with the wish for base64."""
        asked = {name: value for name, value in params.items() if value is not None and name != "input_type"}
        return {"encoding_format": "base64", **asked}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Without `encoding_format`, where a server does not know it: the numbers are the same."""
        told = f"{error} {error.raw or ''}"
        if isinstance(error, InvalidRequest) and "encoding_format" in payload and "encoding_format" in told:
            return {name: value for name, value in payload.items() if name != "encoding_format"}
        return None

    def create_decoder(self) -> EmbeddingDecoder:
        """A fresh decoder."""
        return EmbeddingDecoder()


class TEIEmbeddings(OpenAIEmbeddings):
    """`/embed` of TEI, and LMI's embeddings."""

    name = "tei-embeddings"
    route = "/embed"
    max_batch_size = TEI_MAX_BATCH_SIZE

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`inputs`; a model has no name here."""
        left_out = {"input", "model", "input_type"}
        asked = {name: value for name, value in params.items() if value is not None and name not in left_out}
        return {"inputs": params["input"], **asked}


class JumpStartEmbeddings(TEIEmbeddings):
    """The text embedding models of SageMaker JumpStart: `text_inputs`, answered with `embedding`."""

    name = "jumpstart-embeddings"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`text_inputs`; a model has no name here."""
        return _move_texts(super().build_payload(params, stream=stream), "text_inputs")


class AutoEmbeddings(TEIEmbeddings):
    """Sends `inputs` as TEI and LMI take it; a container that rejects that gets `input` (vLLM) or `text_inputs`."""

    name = "auto-embeddings"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """TEI's, and the model's name for the second question."""
        named = {"model": params["model"]} if params.get("model") else {}
        return {**super().build_payload(params, stream=stream), **named}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """OpenAI's request, or JumpStart's, if the first one was rejected for its form."""
        if "text_inputs" not in payload and _requires_text_inputs(error):
            return {
                name: value for name, value in _move_texts(payload, "text_inputs").items() if name not in _OPENAI_ONLY
            }
        if "inputs" in payload and is_format_error(error):
            return {"encoding_format": "base64", **_move_texts(payload, "input")}
        return super().relax_payload(payload, error)


class OCIEmbedText(OpenAIEmbeddings):
    """`embedText` of OCI Generative AI: at most 96 texts a request."""

    name = "oci-embed-text"
    route = "/actions/embedText"
    max_batch_size = OCI_MAX_BATCH_SIZE

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """`inputs`, `inputType`, `outputDimensions`; the platform puts them into its envelope."""
        texts = params["input"]
        if len(texts) > OCI_MAX_BATCH_SIZE:
            raise InvalidRequest(
                f"input has {len(texts)} texts; embedText takes {OCI_MAX_BATCH_SIZE} at most: send them in batches"
            )
        kind = params.get("input_type")
        named = {
            "inputs": texts,
            "inputType": _OCI_KINDS.get(kind, kind) if kind else None,
            "outputDimensions": params.get("dimensions"),
        }
        left_out = {"input", "input_type", "dimensions", "encoding_format"}
        rest = {to_camel_case(name): value for name, value in params.items() if name not in left_out}
        return {name: value for name, value in {**named, **rest}.items() if value is not None}


#: Fields of the request that OpenAI's form has, and JumpStart's has not.
_OPENAI_ONLY = frozenset({"encoding_format", "model"})


def _move_texts(body: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The body with its texts in another field."""
    return {field if name in {"input", "inputs"} else name: value for name, value in body.items()}


def _requires_text_inputs(error: MDStreamError) -> bool:
    """Whether a container asks for `text_inputs`, with whatever status."""
    is_of_request = isinstance(error, ServiceError) and not isinstance(error, ContextOverflow)
    return is_of_request and re.search(r"\btext_inputs\b", f"{error} {error.raw or ''}") is not None


def is_format_error(error: MDStreamError) -> bool:
    """Whether a container refused a question for its form, and not for what is in it."""
    if (
        not isinstance(error, ServiceError)
        or isinstance(error, ContextOverflow)
        or error.status not in _FORMAT_ERROR_STATUSES
    ):
        return False
    return _FORMAT_ERROR_PATTERN.search(f"{error} {error.raw or ''}") is not None


#: What containers say to a body that they cannot read: TEI and serde 422, LMI 424, vLLM 400.
_FORMAT_ERROR_STATUSES = frozenset({400, 415, 422, 424})

#: … and in which words (serde, pydantic, vLLM's router, LMI's input parser).
_FORMAT_ERROR_PATTERN = re.compile(
    r"missing|required|suitable handler|unknown|unexpected|unrecognized|not permitted|did not match|deserialize"
    r"|invalid type",
    re.IGNORECASE,
)
