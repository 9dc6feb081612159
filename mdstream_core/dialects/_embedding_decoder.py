"""Decoder for embeddings, in the shapes that servers return.

| document | server |
|---|---|
| `{"data": [{"index", "embedding"}]}`, numbers or base64 | OpenAI's API: vLLM, llama.cpp, infinity |
| `{"data": [{"embedding": [[…]]}]}`, all vectors in one entry | containers for langchain-oci |
| `[{"index", "embedding"}]` | llama.cpp's `/embedding` |
| `[[…]]`, or one vector without a list around it | TEI, LMI |
| `{"embeddings": [[…]]}`, `{"embeddingsByType": {"float": [[…]]}}` | OCI Generative AI |
| `{"embedding": [[…]]}` or `{"embedding": […]}` | JumpStart |
| `{"vectors": [[…]]}`, `{"predictions": [[…]]}` | inference scripts of SageMaker users |
| one level deeper: a vector per token | Hugging Face's feature extraction, without pooling |

Every number is validated: NaN, infinity, a boolean or any other value in a vector is an error.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mdstream_core import _json
from mdstream_core._indices import describe_wrong_indices
from mdstream_core.dialects._json_document import InvalidDocument, JSONDocumentDecoder, parse_index
from mdstream_core.dialects._vectors import ListVectors, check_finite, extract_vectors, not_finite
from mdstream_core.errors import SHAPE_ERRORS
from mdstream_core.events import Embedding, Event, ResponseMetadata, Usage

#: Fields with the vectors of a document; the first that is present is used.
_FIELDS = ("embeddings", "embedding", "vectors", "predictions")
_KEYS = frozenset({"data", "embeddingsByType", *_FIELDS})

#: The types of OCI's vectors of bytes, and the range of each.
_BYTE_RANGES = {
    **dict.fromkeys(("int8", "binary"), frozenset(range(-128, 128))),
    **dict.fromkeys(("uint8", "ubinary"), frozenset(range(256))),
}

_NUMBER_TYPES = {float, int}

#: Reads the vector of the text at an index from base64, or from a placeholder.
ReadVector = Callable[[str, int], Any]

#: The vectors of tokens are lists until their mean is known.
_TO_LIST = ListVectors().from_base64


class EmbeddingDecoder(JSONDocumentDecoder):
    """Decoder for embeddings in any of the shapes.

    Args:
        check_count: Whether the indices must be complete: 0, 1, 2 … `True` by default. Pass `False` if the caller
            knows the number of inputs and checks that itself.
    """

    def __init__(self, *, check_count: bool = True) -> None:
        super().__init__()
        self._check_count = check_count
        #: Reads vectors from base64 and from the text of their numbers.
        self.vectors = ListVectors()

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode the document: vectors of numbers one at a time, or the whole if anything is unusual."""
        events = self._read_extracted(data)
        if events is None:
            return super().feed(data, event)
        self._is_complete = True
        return events

    def _read_extracted(self, data: bytes) -> list[Event] | None:
        extracted = extract_vectors(data, self.vectors)
        if extracted is None:
            return None
        try:
            document = _json.parse(extracted.rest)
            if not self._is_response(document):
                return None
            events = self._convert(document, extracted.read)
        except SHAPE_ERRORS:
            return None
        return events if extracted.are_read else None

    def _is_response(self, document: Any) -> bool:
        return not isinstance(document, dict) or not _KEYS.isdisjoint(document)

    def _read(self, document: Any) -> list[Event]:
        return self._convert(document, self.vectors.from_base64)

    def _convert(self, document: Any, read: ReadVector) -> list[Event]:
        embeddings = sorted(_embeddings(document, read), key=lambda embedding: embedding.index)
        indices = [embedding.index for embedding in embeddings]
        inputs = len(embeddings) if self._check_count else max(indices, default=0) + 1
        if wrong := describe_wrong_indices(indices, inputs, complete=self._check_count):
            raise InvalidDocument(f"{len(embeddings)} vectors: {wrong}")
        if not isinstance(document, dict):
            return [*embeddings]
        metadata = ResponseMetadata(document.get("model") or document.get("modelId"), document.get("id"))
        return [metadata, *embeddings, *read_usage(document)]


def read_usage(document: Mapping[str, Any]) -> list[Event]:
    """Return the usage of a document, if it has one."""
    usage = document.get("usage") or {}
    tokens = usage.get("prompt_tokens") or usage.get("promptTokens") or 0
    total = usage.get("total_tokens") or usage.get("totalTokens") or tokens
    return [Usage(tokens or total, 0, total)] if usage else []


def _embeddings(document: Any, read: ReadVector) -> list[Embedding]:
    if not isinstance(document, dict):
        return _list(document, read)
    if "data" in document:
        return _list(document["data"], read)
    if by_type := document.get("embeddingsByType"):
        return _first_type(by_type, read)
    return _list(next((rows for name in _FIELDS if (rows := document.get(name))), None), read)


def _list(rows: Any, read: ReadVector) -> list[Embedding]:
    """Read a list of vectors, one vector, or a list of objects with `embedding`."""
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        return _objects(rows, read)
    return [Embedding(row, at) for at, row in enumerate(_vectors(rows, read))]


def _objects(rows: list[Mapping[str, Any]], read: ReadVector) -> list[Embedding]:
    if len(rows) == 1 and _nesting_depth(rows[0]["embedding"]) > 1:
        return _list(rows[0]["embedding"], read)
    return [
        Embedding(_vector(row["embedding"], at, read), parse_index(row.get("index"), at)) for at, row in enumerate(rows)
    ]


def _first_type(by_type: Mapping[str, Any], read: ReadVector) -> list[Embedding]:
    """Return the float vectors of OCI's response, or else those of its first type."""
    names = sorted((name for name, rows in by_type.items() if rows), key=lambda name: name != "float")
    name = next(iter(names), "float")
    if len(names) > 1:
        warnings.warn(
            f"the response has vectors of several types ({', '.join(names)}): those of type {name} are returned",
            RuntimeWarning,
            stacklevel=2,
        )
    vectors = _vectors(by_type.get(name), read)
    for at, vector in enumerate(vectors):
        if name in _BYTE_RANGES and not _BYTE_RANGES[name].issuperset(vector):
            raise InvalidDocument(f"vector {at} has a number that is not of type {name}")
    return [Embedding(vector, at) for at, vector in enumerate(vectors)]


def _vectors(rows: Any, read: ReadVector) -> list[list[float]]:
    """Read vectors from nested lists of any depth."""
    if not isinstance(rows, list | str) or not rows:
        raise InvalidDocument("it has no vectors")
    return [_vector(row, at, read) for at, row in enumerate([rows] if _nesting_depth(rows) == 1 else rows)]


#: The nesting depth of the token vectors of one text.
_TOKEN_VECTORS_DEPTH = 2


def _vector(value: Any, at: int, read: ReadVector) -> list[float]:
    depth = _nesting_depth(value)
    if depth < _TOKEN_VECTORS_DEPTH:
        return _numbers(value, at, read)
    if (
        depth == _TOKEN_VECTORS_DEPTH + 1 and len(value) == 1
    ):  # transformers' pipeline returns a batch of one for each text
        value = value[0]
    elif depth > _TOKEN_VECTORS_DEPTH:
        raise InvalidDocument(f"text {at} has {len(value)} lists of token vectors, {depth} levels deep, instead of one")
    return _mean_pool([_numbers(row, at, _TO_LIST) for row in value], at)


def _nesting_depth(value: Any) -> int:
    """Return the number of lists around a number: 1 for a vector, also for a base64 string."""
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else 0.0
    return depth + 1 if isinstance(value, str) else depth


def _mean_pool(tokens: list[list[float]], at: int) -> list[float]:
    """Return the mean of the token vectors of a text, with a warning."""
    if len({len(vector) for vector in tokens}) != 1:
        raise InvalidDocument(f"the token vectors of text {at} differ in length")
    warnings.warn(
        "the container returned one vector for each token: their mean is returned, including padding tokens (hint: "
        "deploy the model with TEI, vLLM or sentence-transformers, which pool as the model requires)",
        RuntimeWarning,
        stacklevel=2,
    )
    return _numbers([sum(column) / len(tokens) for column in zip(*tokens, strict=True)], at, _TO_LIST)


def _numbers(value: Any, at: int, read: ReadVector) -> list[float]:
    """Return the numbers of a vector, a list or base64 of little-endian 32-bit floats. Each must be finite."""
    vector: list[float] = value if isinstance(value, list) else read(value, at)
    if not len(vector):  # an array has no truth value
        raise InvalidDocument(f"vector {at} has no numbers")
    if isinstance(value, list):
        if not _are_numbers(vector):
            raise not_finite(vector, at, next(i for i, one in enumerate(vector) if type(one) not in _NUMBER_TYPES))
        check_finite(vector, at)
    return vector


def _are_numbers(vector: list[Any]) -> bool:
    types = list(map(type, vector))  # the fastest check that rejects booleans
    is_uniform = types[0] in _NUMBER_TYPES and types.count(types[0]) == len(types)
    return is_uniform or _NUMBER_TYPES.issuperset(types)
