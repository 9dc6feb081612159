"""Numbers of vectors are checked, and every shape that containers return is decoded: all classes, sync and async."""

import base64
import json
import struct
import warnings
from typing import Any

import pytest
from _json_server import CLASSES, Embedder, responding

import langchain_mdstream as lc
import llamaindex_mdstream as li
from mdstream_core import ModelResponse, dialect
from mdstream_core.emulator import Emulator
from mdstream_core.errors import MalformedStream

each_class = pytest.mark.parametrize(("framework", "platform"), CLASSES)


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def read(data: bytes) -> list[list[float]]:
    decoder = dialect("auto-embeddings").create_decoder()
    return [one.vector for one in ModelResponse.from_events([*decoder.feed(data), *decoder.finish()]).embeddings]


#: How a wrong number is spelled, and how the error names it.
WRONG = {
    "NaN": "nan",
    "Infinity": "inf",
    "-Infinity": "-inf",
    "1e999": "inf",
    "-1e999": "-inf",
    "true": "True",
    "false": "False",
    "null": "None",
    '"0.5"': "0.5",
    '"NaN"': "NaN",
    "[0.5]": r"\[0.5\]",
    "{}": "{}",
    "1" + "0" * 400: "(another|unexpected) shape",
}
SHAPES = {
    "OpenAI": '{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":%s}]}',
    "TEI": "[[1,2],%s]",
    "OCI": '{"embeddings":[[1,2],%s]}',
    "OCI by type": '{"embeddingsByType":{"float":[[1,2],%s]}}',
    "JumpStart": '{"embedding":[[1,2],%s]}',
    "a script": '{"vectors":[[1,2],%s]}',
    "token vectors": "[[[1,2],[3,4]],[%s,[5,6]]]",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("number", "words"), WRONG.items(), ids=[name[:12] for name in WRONG])
@pytest.mark.filterwarnings("ignore:the container returned one vector for each token")
def test_a_wrong_number_anywhere_is_an_error(shape: str, number: str, words: str) -> None:
    """At the start, in the middle and at the end; the error names it."""
    others = ["0.25"] * 7
    for position in (0, 3, 7):
        numbers = [*others[:position], number, *others[position:]]
        with pytest.raises(MalformedStream, match=words):
            read((shape % f"[{','.join(numbers)}]").encode())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_wrong_number_in_base64_is_an_error(number: float) -> None:
    """At every position, and also two infinities whose sum is finite."""
    for vector in ([number, 1, 2], [1, number, 2], [1, 2, number], [number, 1, -number]):
        document = {"data": [{"embedding": packed(1, 2, 3)}, {"embedding": packed(*vector)}]}
        with pytest.raises(MalformedStream, match=r"vector 1 has -?(nan|inf) at \d, which is not a finite number"):
            read(json.dumps(document).encode())


def test_finite_numbers_whose_sum_is_not() -> None:
    """They are valid, because each number is checked."""
    assert [[1.7e308, 1.7e308, -1.7e308]] == read(b"[[1.7e308,1.7e308,-1.7e308]]")


TYPES: dict[str, tuple[list[Any], list[Any]]] = {
    "int8": ([-128, 0, 127], [-129, 128, 0.5, True, "1", None]),
    "uint8": ([0, 255], [-1, 256, 1.5, False, 1e999]),
    "binary": ([-128, 127], [-129, 128]),
    "ubinary": ([0, 255], [-1, 256]),
    "float": ([0.5, -3], [float("nan"), True, None]),
}


@pytest.mark.parametrize("name", TYPES)
def test_the_types_of_oci(name: str) -> None:
    """Each type has its own numbers, and no others."""
    right, wrong = TYPES[name]
    assert [right] == read(json.dumps({"embeddingsByType": {name: [right]}}).encode())
    for number in wrong:
        with pytest.raises(MalformedStream):
            read(json.dumps({"embeddingsByType": {name: [[*right, number]]}}).encode())


def test_several_types_of_oci() -> None:
    """The floats are returned, and a warning reports the others."""
    document = {"embeddingsByType": {"int8": [[1]], "float": [[0.5]], "base64": None}}
    with pytest.warns(RuntimeWarning, match=r"several types \(float, int8\)"):
        assert [[0.5]] == read(json.dumps(document).encode())


@each_class
@pytest.mark.parametrize("vector", ["[1.0,NaN,3.0]", "[1.0,true,3.0]", '"AACAPwAAwH8AAEBA"'])
async def test_every_class_reports_a_wrong_number(framework: str, platform: str, vector: str) -> None:
    """Both frameworks, sync and async."""
    data = b'{"data":[{"index":0,"embedding":%s}]}' % vector.encode()
    with responding(lambda body: (200, data)) as server:
        embedder = Embedder(framework, platform, server)
        with pytest.raises(MalformedStream, match=r"vector 0 has (nan|True) at 1"):
            embedder.embed(["a"])
        with pytest.raises(MalformedStream, match=r"vector 0 has (nan|True) at 1"):
            await embedder.aembed(["a"])


def vector(text: str) -> list[float]:
    return [float(len(text)), 1.0]


def tokens(text: str) -> list[list[float]]:
    """Three vectors, whose mean is that of `vector`."""
    return [[len(text) - 1.0, 0.0], [float(len(text)), 1.0], [len(text) + 1.0, 2.0]]


#: name: what a container makes of its texts; token vectors come with a warning.
CONTAINERS: dict[str, Any] = {
    "embedding": lambda texts: {"embedding": [vector(text) for text in texts]},
    "vectors": lambda texts: {"vectors": [vector(text) for text in texts]},
    "predictions": lambda texts: {"predictions": [vector(text) for text in texts]},
    "embeddings": lambda texts: {"embeddings": [vector(text) for text in texts]},
    "lists": lambda texts: [vector(text) for text in texts],
    "objects": lambda texts: [{"index": at, "embedding": vector(text)} for at, text in enumerate(texts)],
    "indices as words": lambda texts: {
        "data": [{"index": str(at), "embedding": vector(text)} for at, text in enumerate(texts)][::-1]
    },
    "indices as floats": lambda texts: {
        "data": [{"index": float(at), "embedding": vector(text)} for at, text in enumerate(texts)][::-1]
    },
    "no indices": lambda texts: {"data": [{"index": None, "embedding": vector(text)} for text in texts]},
}
TOKENS: dict[str, Any] = {
    "tokens": lambda texts: [tokens(text) for text in texts],
    "tokens in batches of one": lambda texts: [[tokens(text)] for text in texts],
    "tokens in embedding": lambda texts: {"embedding": [tokens(text) for text in texts]},
    "tokens in vectors": lambda texts: {"vectors": [[tokens(text)] for text in texts]},
    "tokens in objects": lambda texts: {
        "data": [{"index": at, "embedding": tokens(text)} for at, text in enumerate(texts)]
    },
}


@each_class
@pytest.mark.parametrize("name", [*CONTAINERS, *TOKENS])
@pytest.mark.filterwarnings("ignore:the container returned one vector for each token")
async def test_every_class_decodes_every_shape(framework: str, platform: str, name: str) -> None:
    """Sync and async."""
    shape = {**CONTAINERS, **TOKENS}[name]
    with responding(lambda body: (200, shape(body.get("inputs") or body.get("input")))) as server:
        embedder = Embedder(framework, platform, server)
        expected = [[1.0, 1.0], [3.0, 1.0]]
        assert expected == embedder.embed(["a", "bcd"]) == await embedder.aembed(["a", "bcd"])


@pytest.mark.parametrize("name", ["embedding", "vectors", "lists", "tokens", "tokens in batches of one"])
def test_one_text(name: str) -> None:
    """With and without a list around its vector."""
    shape = {**CONTAINERS, **TOKENS}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [[3.0, 1.0]] == read(json.dumps(shape(["bcd"])).encode())
    assert [[3.0, 1.0]] == read(b'{"embedding":[3.0,1.0]}') == read(b'{"vectors":[3.0,1.0]}') == read(b"[3.0,1.0]")


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
async def test_hugging_faces_toolkit_on_sagemaker(framework: str) -> None:
    """The emulator's container without pooling: the mean of the tokens' vectors."""
    with Emulator() as emulator:
        there = {"region_name": emulator.sagemaker.region_name, "endpoint_url": emulator.sagemaker.endpoint_url}
        kind: Any = lc.SagemakerEndpointEmbeddings if framework == "LangChain" else li.SageMakerEmbedding
        model = kind(endpoint_name="hf-features", auth_type="none", max_retries=0, **there)
        with pytest.warns(RuntimeWarning, match="one vector for each token"):
            first, second = (one.vector for one in model.embed(["river", "river river"]).embeddings)
        with pytest.warns(RuntimeWarning, match="one vector for each token"):
            awaited = await model.aembed(["river"])
        assert first == awaited.embeddings[0].vector == pytest.approx(second)


def test_token_vectors_come_with_a_warning() -> None:
    """The mean is not what every model wants."""
    with pytest.warns(RuntimeWarning, match="one vector for each token: their mean is returned"):
        read(b"[[[1,2],[3,4]]]")


REFUSED = {
    b"[[[[1],[2]],[[3],[4]]]]": "text 0 has 2 lists of token vectors, 3 levels deep",
    b"[[[[[[1]]]]]]": "deep",
    b"[[[1,2],[3]]]": "token vectors of text 0 differ in length",
    b"[[[1],[]]]": "vector 0 has no numbers",
    b"[[1,2],3]": "(another|unexpected) shape",
    b"[]": "no vectors",
    b'{"embedding":null}': "no vectors",
    b'{"vectors":{}}': "no vectors",
    b'{"data":[]}': "no vectors",
    b'{"data":[{"index":0,"embedding":[]}]}': "no numbers",
    b'{"embeddingsByType":{}}': "no vectors",
}


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: data.decode())
def test_an_invalid_vector_is_reported(data: bytes) -> None:
    """The error describes the problem."""
    with pytest.raises(MalformedStream, match=REFUSED[data]):
        read(data)


JUMPSTART = {
    "a script's words": {"code": 400, "type": "InternalServerException", "message": "'text_inputs' is required"},
    "a KeyError": {"error": "KeyError: 'text_inputs'"},
    "pydantic": {"detail": [{"type": "missing", "loc": ["body", "text_inputs"], "msg": "Field required"}]},
}


@pytest.mark.parametrize("error_body", JUMPSTART.values(), ids=JUMPSTART)
@pytest.mark.parametrize("status", [400, 422, 424, 500])
@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
async def test_jumpstart_is_detected_once(framework: str, status: int, error_body: Any) -> None:
    """The container that expects `text_inputs` gets them, and later requests start with them."""

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        if "text_inputs" not in body:
            return status, error_body
        return 200, {"embedding": [vector(text) for text in body["text_inputs"]]}

    with responding(respond) as server:
        embedder = Embedder(framework, "SageMaker", server)
        assert [[1.0, 1.0], [3.0, 1.0]] == embedder.embed(["a", "bcd"])
        assert [[2.0, 1.0]] == await embedder.aembed(["xy"])
        assert 3 == len(server.notes)
        assert {"text_inputs": ["xy"]} == server.notes[-1]
        named = Embedder(framework, "SageMaker", server, dialect="jumpstart-embeddings")
        assert [[2.0, 1.0]] == named.embed(["xy"])
        assert 4 == len(server.notes)
