"""Vectors of JSON numbers are extracted from their document: the same results as base64, the same errors as before."""

import base64
import json
import struct
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

from mdstream_core import ModelResponse, dialect
from mdstream_core.dialects import ArrayDialect
from mdstream_core.dialects._vectors import ListVectors, extract_vectors
from mdstream_core.errors import MalformedStream, StreamFailure

#: 32-bit floats of all magnitudes, and integers.
NUMBERS = [0.1, -0.25, 1e-30, -3.5e-45, 3.4e38, -3.4e38, 1.0, 0.0, -0.0, 123456.0, 1 / 3]
PACKED = struct.pack(f"<{len(NUMBERS)}f", *NUMBERS)
FLOATS = list(struct.unpack(f"<{len(NUMBERS)}f", PACKED))

#: Each shape with two vectors in it.
SHAPES: dict[str, Any] = {
    "OpenAI": lambda a, b: {"data": [{"index": 1, "embedding": b}, {"index": 0, "embedding": a}], "model": "m[1]"},
    "OpenAI, one entry": lambda a, b: {"data": [{"index": 0, "embedding": [a, b]}]},
    "llama.cpp": lambda a, b: [{"index": 0, "embedding": a}, {"index": 1, "embedding": b}],
    "TEI": lambda a, b: [a, b],
    "OCI": lambda a, b: {"id": "e", "embeddings": [a, b], "modelId": "cohere.embed-v4.0", "error": None},
    "OCI by type": lambda a, b: {"embeddingsByType": {"float": [a, b]}},
    "JumpStart": lambda a, b: {"embedding": [a, b]},
    "vectors": lambda a, b: {"vectors": [a, b], "usage": {"prompt_tokens": 3}},
    "predictions": lambda a, b: {"predictions": [a, b]},
}


def read(data: bytes, name: str = "auto-embeddings", *, as_array: bool = False) -> ModelResponse:
    inner = dialect(name)
    decoder = (ArrayDialect(inner) if as_array else inner).create_decoder()
    return ModelResponse.from_events([*decoder.feed(data), *decoder.finish()])


def vectors(data: bytes, **options: Any) -> list[Any]:
    return [one.vector for one in read(data, **options).embeddings]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("indent", [None, 1], ids=["compact", "indented"])
def test_numbers_and_base64_give_the_same(shape: Any, indent: int | None) -> None:
    """Lists are equal to the last bit, and arrays are those of base64."""
    text = base64.b64encode(PACKED).decode()
    numbers = json.dumps(shape(FLOATS, FLOATS[::-1]), indent=indent).encode()
    mixed = json.dumps(shape(text, FLOATS[::-1])).encode()
    packed = json.dumps(shape(text, base64.b64encode(struct.pack(f"<{len(FLOATS)}f", *FLOATS[::-1])).decode())).encode()
    assert [FLOATS, FLOATS[::-1]] == vectors(numbers) == vectors(packed) == vectors(mixed)
    for data in (numbers, packed, mixed):
        arrays = vectors(data, as_array=True)
        assert [FLOATS, FLOATS[::-1]] == [array.tolist() for array in arrays]
        assert all(array.dtype == np.float32 and array.flags.writeable for array in arrays)


@pytest.mark.parametrize("name", ["OpenAI", "OpenAI, one entry", "llama.cpp", "TEI", "OCI", "JumpStart", "vectors"])
def test_vectors_are_extracted_from_common_documents(name: str) -> None:
    """Those of every shape but OCI's by type; what is left has no numbers of vectors."""
    document = SHAPES[name]([0.5], [1])
    if name == "OpenAI":
        document["model"] = "m"
    extracted = extract_vectors(json.dumps(document).encode(), ListVectors())
    assert extracted is not None
    assert [[0.5], [1]] == sorted(extracted.read(f"#{number}", 0) for number in (0, 1))
    assert extracted.are_read
    assert b"0.5" not in extracted.rest


#: Documents that have to be read as a whole, and their vectors.
READ_AS_A_WHOLE: dict[str, tuple[bytes, list[list[float]]]] = {
    "a name of a vector": (b'{"data":[{"embedding":[1,2]}],"model":"#0"}', [[1, 2]]),
    "an escape": (b'{"data":[{"embedding":[1,2]}],"model":"\\u0023"}', [[1, 2]]),
    "numbers in a text": (b'{"data":[{"embedding":[1,2]}],"model":"v[1,2]"}', [[1, 2]]),
    "numbers elsewhere": (b'{"data":[{"embedding":[1,2],"shape":[1,2]}]}', [[1, 2]]),
    "a repeated key": (b'{"data":[{"embedding":[1,2],"embedding":[3]}]}', [[3]]),
    "two fields": (b'{"embeddings":[[1,2]],"vectors":[[3]]}', [[1, 2]]),
    "types": (b'{"embeddingsByType":{"float":[[0.5]]}}', [[0.5]]),
    "integers": (b'{"embeddingsByType":{"int8":[[5,-5]]}}', [[5, -5]]),
    "lists of tokens": (b"[[[1,2],[3,4]]]", [[2, 3]]),
    "no lists": (b'{"data":[{"embedding":"AACAPw=="}]}', [[1]]),
}


@pytest.mark.parametrize(("data", "expected"), READ_AS_A_WHOLE.values(), ids=READ_AS_A_WHOLE)
@pytest.mark.filterwarnings("ignore:the container returned one vector for each token")
def test_unusual_documents_are_read_as_a_whole(data: bytes, expected: list[list[float]]) -> None:
    """What is beside the vectors is not mistaken for one."""
    response = read(data)
    assert expected == [one.vector for one in response.embeddings]
    if b'"model"' in data:
        assert json.loads(data)["model"] == response.metadata.model
    assert expected == [array.tolist() for array in vectors(data, as_array=True)]


def test_one_warning_for_vectors_of_several_types() -> None:
    """A document is not read twice after a warning."""
    for data in (b'{"embeddingsByType":{"float":[[0.5]],"int8":[[1]]}}', b"[[[1,2],[3,4]]]"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read(data)
        assert 1 == len(caught)


#: What follows "[[0.5,0.5]," in a list of vectors, and words of the error.
INVALID: dict[str, tuple[str, str]] = {
    "NaN": ("[0.5,NaN]", "vector 1 has nan at 1, which is not a finite number"),
    "an infinity": ("[1e999,0.5]", "vector 1 has inf at 0, which is not a finite number"),
    "null": ("[0.5,null]", "vector 1 has None at 1, which is not a finite number"),
    "a boolean": ("[0.5,true]", "vector 1 has True at 1, which is not a finite number"),
    "another boolean": ("[false,0.5]", "vector 1 has False at 0, which is not a finite number"),
    "a text": ('["0.5",0.5]', "another shape"),
    "a text after a number": ('[0.5,"0.5"]', "vector 1 has 0.5 at 1, which is not a finite number"),
    "a text with a name": ('["#0",0.5]', "unexpected|another"),
    "a name": ('"#0"', "another shape"),
    "an object": ("[{},0.5]", r"vector 1 has \{\} at 0, which is not a finite number"),
    "empty": ("[]", "vector 1 has no numbers"),
    "only a space": ("[ ]", "vector 1 has no numbers"),
    "no list": ("0.5", "another shape"),
    "a comma too many": ("[0.5,]", "not JSON"),
    "a leading zero": ("[00.5]", "not JSON"),
    "a plus": ("[+0.5]", "not JSON"),
    "a letter": ("[0.5x]", "not JSON"),
    "truncated": ("[0.5", "not JSON"),
    "a bracket too many": ("[0.5]]", "not JSON"),
    "a bracket too few": ("[[0.5,0.5]", "not JSON"),
}


@pytest.mark.parametrize("shape", ["[[0.5,0.5],%s]", '{"embeddings":[[0.5,0.5],%s]}', '{"vectors":[[0.5,0.5],%s]}'])
@pytest.mark.parametrize(("vector", "words"), INVALID.values(), ids=INVALID)
def test_errors_are_those_of_the_whole_document(shape: str, vector: str, words: str) -> None:
    """Lists and arrays have the same message, which quotes the document."""
    data = (shape % vector).encode()
    messages = []
    for as_array in (False, True):
        with pytest.raises(MalformedStream, match=words) as caught:
            read(data, as_array=as_array)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert data[:8].decode() in messages[0]


def test_a_number_too_large_for_an_array() -> None:
    """It is an error for arrays of 32-bit floats, not an infinity."""
    for data in (b"[[1e39,1]]", b'{"embeddingsByType":{"float":[[1e39,1]]}}'):
        assert [[1e39, 1]] == vectors(data)
        with pytest.raises(MalformedStream, match="vector 0 has a number that is not a 32-bit float"):
            read(data, as_array=True)


def test_an_error_with_numbers_keeps_them() -> None:
    """The error of a service is read as a whole."""
    with pytest.raises(StreamFailure, match="input 3 is too long") as caught:
        read(b'{"error":{"message":"input 3 is too long","inputs":[1,2,3]}}')
    assert "[1,2,3]" in str(caught.value.raw)


_WITHOUT_ORJSON = """
import sys
sys.modules["orjson"] = None
from mdstream_core import dialect
from mdstream_core.errors import MalformedStream

def read(data):
    decoder = dialect("tei-embeddings").create_decoder()
    return [event.vector for event in decoder.feed(data)]

assert [[0.5, -1], [1e300, 1e300]] == read(b"[[0.5,-1],[1e300,1e300]]")
for number in (b"NaN", b"1e999", b"-Infinity", b"true", b"null", b"1" + b"0" * 400):
    try:
        read(b"[[0.5,-1],[1,%s]]" % number)
    except MalformedStream as error:
        print(str(error)[:60])
"""


def test_numbers_are_checked_without_orjson() -> None:
    """pydantic's parser accepts infinities, and they are errors all the same."""
    output = subprocess.check_output([sys.executable, "-c", _WITHOUT_ORJSON], text=True)
    assert 6 == len(output.splitlines())
    assert all("shape" in line for line in output.splitlines())
