"""Dialects for embeddings. `_embedding_decoder` decodes the responses.

| dialect | server | field with the texts |
|---|---|---|
| `openai-embeddings` | vLLM, llama.cpp, infinity | `input` |
| `tei-embeddings` | TEI, LMI, Hugging Face's toolkit; on SageMaker too | `inputs` |
| `jumpstart-embeddings` | SageMaker JumpStart's text embedding models | `text_inputs` |
| `oci-embed-text` | OCI Generative AI | `inputs` in an envelope |
| `auto-embeddings` | a container that accepts any of the first three | |

Request parameters are `{"input": [texts], "model", "dimensions", "input_type": "query" | "document", …}`; with the
input type `IMAGE` the input is the data URI of one image. Other parameters are passed through. The vectors are returned
in the order of the texts.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mdstream_core.dialects._dialect import NotResumableMixin
from mdstream_core.dialects._embedding_decoder import EmbeddingDecoder
from mdstream_core.dialects._oci_requests import to_camel_case
from mdstream_core.errors import ContextOverflow, InvalidRequest, MDStreamError, ServiceError

#: The most inputs of one request: to OCI (oracle/langchain-oracle; not in the SDK), to TEI (the default of its
#: `--max-client-batch-size`), and to other servers: 128 vectors of 4,096 numbers are below the limit of a document.
OCI_MAX_BATCH_SIZE, TEI_MAX_BATCH_SIZE, DEFAULT_MAX_BATCH_SIZE = 96, 32, 128

#: The input type of images; the input is a data URI. Servers take one image in a request.
IMAGE = "IMAGE"

_OCI_INPUT_TYPES = {"query": "SEARCH_QUERY", "document": "SEARCH_DOCUMENT"}


class OpenAIEmbeddings(NotResumableMixin):
    """Dialect of `/v1/embeddings`. Numbers are requested as base64: a third of the bytes, a tenth of the time."""

    name = "openai-embeddings"
    route = "/v1/embeddings"
    input_field = "input"
    max_batch_size = DEFAULT_MAX_BATCH_SIZE

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body, which requests base64. An image is sent as a message, which is vLLM's extension."""
        fields = {name: value for name, value in params.items() if value is not None and name != "input_type"}
        if params.get("input_type") == IMAGE:
            fields["messages"] = [_image_message(fields.pop("input"))]
        return {"encoding_format": "base64", **fields}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Drop `encoding_format` if the server rejected it: the numbers are the same."""
        message = f"{error} {error.raw or ''}"
        if isinstance(error, InvalidRequest) and "encoding_format" in payload and "encoding_format" in message:
            return {name: value for name, value in payload.items() if name != "encoding_format"}
        return None

    def create_decoder(self) -> EmbeddingDecoder:
        """Create a decoder for one response."""
        return EmbeddingDecoder()


class TEIEmbeddings(OpenAIEmbeddings):
    """Dialect of TEI's `/embed`, and of LMI's embeddings."""

    name = "tei-embeddings"
    route = "/embed"
    max_batch_size = TEI_MAX_BATCH_SIZE

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body with `inputs`, without the model name."""
        if params.get("input_type") == IMAGE:
            raise InvalidRequest(
                f"{self.name} has no images (hint: set dialect='openai-embeddings' if the container is vLLM)",
                code="NotInThisDialect",
            )
        dropped = {"input", "model", "input_type"}
        fields = {name: value for name, value in params.items() if value is not None and name not in dropped}
        return {"inputs": params["input"], **fields}


class JumpStartEmbeddings(TEIEmbeddings):
    """Dialect of SageMaker JumpStart's text embedding models: requests have `text_inputs`, responses `embedding`."""

    name = "jumpstart-embeddings"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body with `text_inputs`, without the model name."""
        return _move_texts(super().build_payload(params, stream=stream), "text_inputs")


class AutoEmbeddings(TEIEmbeddings):
    """Dialect that sends `inputs` (TEI, LMI), and after an error `input` (vLLM) or `text_inputs` (JumpStart)."""

    name = "auto-embeddings"
    route = "/invocations"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build TEI's body, with the model name for a second request in OpenAI's form; for an image OpenAI's body."""
        if params.get("input_type") == IMAGE:
            return OpenAIEmbeddings.build_payload(self, params, stream=stream)
        model = {"model": params["model"]} if params.get("model") else {}
        return {**super().build_payload(params, stream=stream), **model}

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Convert the request to OpenAI's or JumpStart's form if it was rejected for its form."""
        if "text_inputs" not in payload and _requires_text_inputs(error):
            return {
                name: value for name, value in _move_texts(payload, "text_inputs").items() if name not in _OPENAI_ONLY
            }
        if "inputs" in payload and is_format_error(error):
            return {"encoding_format": "base64", **_move_texts(payload, "input")}
        return super().relax_payload(payload, error)


class OCIEmbedText(OpenAIEmbeddings):
    """Dialect of OCI Generative AI's `embedText`, which accepts at most 96 texts per request."""

    name = "oci-embed-text"
    route = "/actions/embedText"
    max_batch_size = OCI_MAX_BATCH_SIZE

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body with `inputs`, `inputType`, `outputDimensions`; the platform adds the envelope."""
        texts = params["input"]
        if len(texts) > OCI_MAX_BATCH_SIZE:
            raise InvalidRequest(
                f"input has {len(texts)} texts; embedText takes {OCI_MAX_BATCH_SIZE} at most (hint: use batches)"
            )
        input_type = params.get("input_type")
        renamed = {
            "inputs": texts,
            "inputType": _OCI_INPUT_TYPES.get(input_type, input_type) if input_type else None,
            "outputDimensions": params.get("dimensions"),
        }
        dropped = {"input", "input_type", "dimensions", "encoding_format"}
        others = {to_camel_case(name): value for name, value in params.items() if name not in dropped}
        return {name: value for name, value in {**renamed, **others}.items() if value is not None}


#: Fields of a request in OpenAI's form that JumpStart's form does not have.
_OPENAI_ONLY = frozenset({"encoding_format", "model"})


def _image_message(inputs: Sequence[str]) -> dict[str, Any]:
    """Build the message of vLLM's chat embeddings (`messages` in `/v1/embeddings`), which return one vector."""
    if len(inputs) != 1:
        raise InvalidRequest(f"input has {len(inputs)} images; one request takes one (hint: set batch_size=1)")
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": inputs[0]}}]}


def _move_texts(payload: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the payload with its texts in another field."""
    return {field if name in {"input", "inputs"} else name: value for name, value in payload.items()}


def _requires_text_inputs(error: MDStreamError) -> bool:
    """Return whether a container requires `text_inputs`; the status of the error varies."""
    may_be_format_error = isinstance(error, ServiceError) and not isinstance(error, ContextOverflow)
    return may_be_format_error and re.search(r"\btext_inputs\b", f"{error} {error.raw or ''}") is not None


def is_format_error(error: MDStreamError) -> bool:
    """Return whether a container rejected a request for its form, and not for its content."""
    if (
        not isinstance(error, ServiceError)
        or isinstance(error, ContextOverflow)
        or error.status not in _FORMAT_ERROR_STATUSES
    ):
        return False
    return _FORMAT_ERROR_PATTERN.search(f"{error} {error.raw or ''}") is not None


#: The statuses of an error about the form of a body: TEI and serde 422, LMI 424, vLLM 400.
_FORMAT_ERROR_STATUSES = frozenset({400, 415, 422, 424})

#: The messages of such errors (serde, pydantic, vLLM's router, LMI's input parser).
_FORMAT_ERROR_PATTERN = re.compile(
    r"missing|required|suitable handler|unknown|unexpected|unrecognized|not permitted|did not match|deserialize"
    r"|invalid type",
    re.IGNORECASE,
)
