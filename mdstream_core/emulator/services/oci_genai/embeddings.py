"""`embedText` and `rerankText` of OCI Generative AI.

Sources: the models of the `oci` SDK 2.189 (fields, 512 tokens for each input); oracle/langchain-oracle (96 inputs);
OCI's pages on the Embed models (one image in a request, in base64; its tokens; which models take images); Cohere (5 MB,
PNG, JPEG, WebP, GIF). The wording of the errors about images is not known.
"""

import base64
import re
import struct
from typing import Any

from mdstream_core.emulator._bounds import MAX_DOCUMENTS, MAX_EMBEDDING_CHARACTERS
from mdstream_core.emulator.model import decode_image, embed, read_image_text, relevances, split_tokens
from mdstream_core.emulator.services.oci_genai.requests import Json, malformed_request
from mdstream_core.emulator.services.oci_genai.responses import VERSION

_MAX_INPUTS = 96
_MAX_TOKENS = 512
_MAX_DIMENSIONS = 1536
_SIZES = {"cohere.embed-english-light": 384, "cohere.embed-multilingual-light": 384, "cohere.embed-v4": 1536}
_MAX_IMAGE_BYTES = 5 * 1024 * 1024
_IMAGE_TOKENS = 1610  # of an image of 512 x 512 pixels
#: The names of the models that take images; endpoints may have any model.
_TAKES_IMAGES = re.compile(r"-image-|embed-v[4-9]")
_EMBEDDING_TYPES = {"float", "int8", "uint8", "binary", "ubinary", "base64"}
_INPUT_TYPES = {"SEARCH_DOCUMENT", "SEARCH_QUERY", "CLASSIFICATION", "CLUSTERING", "IMAGE"}


def build_embeddings(body: Json, model: str) -> Json:
    """Build the response to `embedText`."""
    inputs = _inputs(body)
    is_image = body.get("inputType") == "IMAGE"
    texts = [_image_text(inputs[0], model)] if is_image else inputs
    size = _dimensions(body) or next((n for prefix, n in _SIZES.items() if model.startswith(prefix)), 1024)
    vectors = [embed(_truncate(text, body.get("truncate") or "NONE"), size) for text in texts]
    token_count = _IMAGE_TOKENS if is_image else sum(len(split_tokens(text)) for text in texts)
    response: Json = {"id": "embed-1", "modelId": model, "modelVersion": VERSION}
    response |= {"inputs": inputs} if body.get("isEcho") else {}
    response["usage"] = {"promptTokens": token_count, "completionTokens": 0, "totalTokens": token_count}
    types = body.get("embeddingTypes")
    if not types:
        return {**response, "embeddings": vectors}
    return {
        **response,
        "embeddingsByType": {
            type_: [_convert_vector(type_, vector) for vector in vectors] for type_ in _check_types(types)
        },
    }


def _dimensions(body: Json) -> int | None:
    size = body.get("outputDimensions")
    if size is not None and not (type(size) is int and 0 < size <= _MAX_DIMENSIONS):
        raise malformed_request(f"outputDimensions must be a whole number between 1 and {_MAX_DIMENSIONS}")
    return size


def _inputs(body: Json) -> list[str]:
    type_ = body.get("inputType")
    if type_ is not None and type_ not in _INPUT_TYPES:
        raise malformed_request(f"inputType {type_} is unknown")
    contents = body.get("embedContents")
    inputs = [_content_text(item) for item in contents] if contents else body.get("inputs")
    if not isinstance(inputs, list) or not inputs or not all(isinstance(item, str) and item for item in inputs):
        raise malformed_request("inputs must be a list of texts, none of them empty")
    if len(inputs) > _MAX_INPUTS:
        raise malformed_request(f"Inputs must be {_MAX_INPUTS} at most, got {len(inputs)}")
    if type_ == "IMAGE" and (len(inputs) != 1 or not inputs[0].startswith("data:")):
        raise malformed_request("inputType IMAGE takes exactly one data URI")
    return inputs


def _image_text(uri: str, model: str) -> str:
    """Return what the model sees in an image."""
    if model.startswith("cohere.embed") and not _TAKES_IMAGES.search(model):
        raise malformed_request(f"model {model} does not support inputType IMAGE")
    try:
        data = decode_image(uri)
    except ValueError as error:
        raise malformed_request(f"invalid image: {error}") from error
    if len(data) > _MAX_IMAGE_BYTES:
        raise malformed_request(f"invalid image: it has {len(data)} bytes, {_MAX_IMAGE_BYTES} are the maximum")
    return read_image_text(data)


def _content_text(content: Json) -> Any:
    return content.get("text") if content.get("type") == "TEXT" else (content.get("imageUrl") or {}).get("url")


def _truncate(text: str, truncate: str) -> str:
    tokens = split_tokens(text)
    if len(tokens) <= _MAX_TOKENS or text.startswith("data:"):
        return text
    if truncate == "NONE":
        raise malformed_request(
            f"too many tokens: an input has {len(tokens)} tokens, {_MAX_TOKENS} at most; set truncate"
        )
    return "".join(tokens[-_MAX_TOKENS:] if truncate == "START" else tokens[:_MAX_TOKENS])


def _check_types(types: list[str]) -> list[str]:
    if unknown := set(types) - _EMBEDDING_TYPES:
        raise malformed_request(f"embeddingTypes {', '.join(sorted(unknown))} unknown")
    return types


def _convert_vector(type_: str, vector: list[float]) -> Any:
    match type_:
        case "float":
            return vector
        case "base64":
            return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        case "int8":
            return [round(value * 127) for value in vector]
        case "uint8":
            return [round(value * 127) + 128 for value in vector]
    groups = [vector[start : start + 8] for start in range(0, len(vector), 8)]
    packed = [sum((value > 0) << (7 - bit) for bit, value in enumerate(group)) for group in groups]
    return packed if type_ == "ubinary" else [value - 128 for value in packed]


def build_ranking(body: Json, model: str) -> Json:
    """Build the response to `rerankText`."""
    query, documents = body.get("input"), body.get("documents")
    if not isinstance(query, str) or not query or not isinstance(documents, list) or not documents:
        raise malformed_request("input must be a text and documents a list of texts")
    texts = [str(document) for document in documents]
    if len(texts) > MAX_DOCUMENTS or sum(map(len, texts), len(query)) > MAX_EMBEDDING_CHARACTERS:
        raise malformed_request(
            f"documents must be {MAX_DOCUMENTS} at most, of {MAX_EMBEDDING_CHARACTERS} characters in total"
        )
    best = sorted(enumerate(relevances(query, texts)), key=lambda pair: -pair[1])[: body.get("topN") or None]
    echo = bool(body.get("isEcho"))
    ranks = [
        {"index": index, "relevanceScore": score, "document": {"text": documents[index]} if echo else None}
        for index, score in best
    ]
    return {"id": "rerank-1", "modelId": model, "modelVersion": VERSION, "documentRanks": ranks}
