"""Decoder for vectors, in the shapes that servers return.

| document | server |
|---|---|
| `{"data": [{"index", "embedding"}]}`, numbers or base64 | OpenAI's API: vLLM, llama.cpp, infinity |
| `{"data": [{"embedding": [[…]]}]}`, the vectors of all inputs in one | containers for langchain-oci |
| `[{"index", "embedding"}]` | llama.cpp's `/embedding` |
| `[[…]]`, or one vector without a list around it | TEI, LMI |
| `{"embeddings": [[…]]}`, `{"embeddingsByType": {"float": [[…]]}}` | OCI Generative AI |
| `{"embedding": [[…]]}` or `{"embedding": […]}` | JumpStart |
| `{"vectors": [[…]]}`, `{"predictions": [[…]]}` | inference scripts of SageMaker users |
| one level deeper: a vector per token | Hugging Face's feature extraction, which does not pool |

Every number is checked: a vector with NaN, an infinity, a boolean or anything else in it is an error.
"""

import sys
import warnings
from array import array
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from mdstream_core._indices import describe_wrong_indices
from mdstream_core.dialects._json_document import InvalidDocument, JSONDocumentDecoder, parse_index
from mdstream_core.events import Embedding, Event, ResponseMetadata, Usage

#: Where a document holds its vectors; the first that is there counts.
_FIELDS = ("embeddings", "embedding", "vectors", "predictions")
_KEYS = frozenset({"data", "embeddingsByType", *_FIELDS})

#: The types of OCI's vectors that are whole numbers of one byte, and these.
_BYTES = {
    **dict.fromkeys(("int8", "binary"), frozenset(range(-128, 128))),
    **dict.fromkeys(("uint8", "ubinary"), frozenset(range(256))),
}

_NUMBERS = {float, int}


class EmbeddingDecoder(JSONDocumentDecoder):
    """Decoder for vectors in any of the shapes.

    Args:
        check_count: Whether the indices must be 0, 1, 2 …; else whoever knows the number of inputs checks that.
    """

    def __init__(self, *, check_count: bool = True) -> None:
        super().__init__()
        self._complete = check_count

    def _is_response(self, document: Any) -> bool:
        return not isinstance(document, dict) or not _KEYS.isdisjoint(document)

    def _read(self, document: Any) -> list[Event]:
        found = sorted(_embeddings(document), key=lambda one: one.index)
        indices = [one.index for one in found]
        inputs = len(found) if self._complete else max(indices, default=0) + 1
        if wrong := describe_wrong_indices(indices, inputs, complete=self._complete):
            raise InvalidDocument(f"{len(found)} vectors: {wrong}")
        if not isinstance(document, dict):
            return [*found]
        beside: list[Event] = [ResponseMetadata(document.get("model") or document.get("modelId"), document.get("id"))]
        return [*beside, *found, *read_usage(document)]


def read_usage(document: Mapping[str, Any]) -> list[Event]:
    """The tokens that a server counted of the inputs, if it did."""
    usage = document.get("usage") or {}
    tokens = usage.get("prompt_tokens") or usage.get("promptTokens") or 0
    total = usage.get("total_tokens") or usage.get("totalTokens") or tokens
    return [Usage(tokens or total, 0, total)] if usage else []


def _embeddings(document: Any) -> list[Embedding]:
    if not isinstance(document, dict):
        return _list(document)
    if "data" in document:
        return _list(document["data"])
    if by_type := document.get("embeddingsByType"):
        return _first_type(by_type)
    return _list(next((found for name in _FIELDS if (found := document.get(name))), None))


def _list(rows: Any) -> list[Embedding]:
    """From a list of vectors, one vector, or a list of objects with `embedding`."""
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        return _objects(rows)
    return [Embedding(row, at) for at, row in enumerate(_vectors(rows))]


def _objects(rows: list[Mapping[str, Any]]) -> list[Embedding]:
    if len(rows) == 1 and _nesting_depth(rows[0]["embedding"]) > 1:
        return _list(rows[0]["embedding"])
    return [Embedding(_vector(row["embedding"], at), parse_index(row.get("index"), at)) for at, row in enumerate(rows)]


def _first_type(by_type: Mapping[str, Any]) -> list[Embedding]:
    """The floats of OCI's answer, or else its first type."""
    names = sorted((name for name, rows in by_type.items() if rows), key=lambda name: name != "float")
    name = next(iter(names), "float")
    if len(names) > 1:
        warnings.warn(
            f"vectors of several types came ({', '.join(names)}): those of type {name} are returned",
            RuntimeWarning,
            stacklevel=2,
        )
    vectors = _vectors(by_type.get(name))
    for at, vector in enumerate(vectors):
        if name in _BYTES and not _BYTES[name].issuperset(vector):
            raise InvalidDocument(f"vector {at} has a number that is no {name}")
    return [Embedding(vector, at) for at, vector in enumerate(vectors)]


def _vectors(rows: Any) -> list[list[float]]:
    """Vectors from lists at any depth."""
    if not isinstance(rows, list | str) or not rows:
        raise InvalidDocument("there are no vectors in it")
    return [_vector(row, at) for at, row in enumerate([rows] if _nesting_depth(rows) == 1 else rows)]


#: How deep the nesting of one text's token vectors is.
_TOKENS = 2


def _vector(value: Any, at: int) -> list[float]:
    depth = _nesting_depth(value)
    if depth < _TOKENS:
        return _numbers(value, at)
    if depth == _TOKENS + 1 and len(value) == 1:  # transformers' pipeline: a batch of one for each text
        value = value[0]
    elif depth > _TOKENS:
        raise InvalidDocument(f"{len(value)} lists of token vectors, {depth} deep, where text {at} has one")
    return _mean_pool([_numbers(row, at) for row in value], at)


def _nesting_depth(value: Any) -> int:
    """How many lists are around a number: 1 for a vector, and for one that is packed in a string."""
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else 0.0
    return depth + 1 if isinstance(value, str) else depth


def _mean_pool(tokens: list[list[float]], at: int) -> list[float]:
    """The mean of a text's token vectors."""
    if len({len(vector) for vector in tokens}) != 1:
        raise InvalidDocument(f"the token vectors of text {at} differ in length")
    warnings.warn(
        "the container returned one vector for each token: their mean is taken, tokens of padding included; to pool "
        "as the model wants it, deploy it with TEI, vLLM or sentence-transformers",
        RuntimeWarning,
        stacklevel=2,
    )
    return _numbers([sum(column) / len(tokens) for column in zip(*tokens, strict=True)], at)


def _numbers(value: Any, at: int) -> list[float]:
    """Numbers as they are, or little-endian 32-bit floats in base64; each of them finite."""
    vector = value if isinstance(value, list) else _decode_base64(value)
    if not vector:
        raise InvalidDocument(f"vector {at} has no numbers")
    if isinstance(value, list) and not _are_numbers(vector):
        raise InvalidDocument(_first(vector, at, lambda one: type(one) not in _NUMBERS))
    if not isfinite(sum(vector)) and not all(map(isfinite, vector)):  # a sum of finite numbers may overflow
        raise InvalidDocument(_first(vector, at, lambda one: not isfinite(one)))
    return vector


def _are_numbers(vector: list[Any]) -> bool:
    kinds = list(map(type, vector))  # counting is the fastest way that finds booleans, which every other one takes
    is_uniform = kinds[0] in _NUMBERS and kinds.count(kinds[0]) == len(kinds)
    return is_uniform or _NUMBERS.issuperset(kinds)


def _decode_base64(text: str) -> list[float]:
    packed = array("f", a2b_base64(text, strict_mode=True))
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


def _first(vector: list[Any], at: int, is_wrong: Callable[[Any], bool]) -> str:
    place = next(place for place, one in enumerate(vector) if is_wrong(one))
    return f"vector {at} has {str(vector[place])[:40]} at {place}, which is no finite number"
