"""Embedding models that embed 2,048 texts: mdstream and its peers, each set up as its documentation describes."""
# ruff: noqa: PLC0415  (a benchmark imports only the package that it measures)

import asyncio
import sys
from collections.abc import Callable
from types import ModuleType

from benchmarks.contenders import NotInstalled

#: Number of texts, and dimensions of each vector.
TEXTS, SIZE = 2048, 1024

Embed = Callable[[list[str]], list[list[float]]]


def floor(port: int) -> Embed:
    """`http.client`, `json` and `array`, 128 texts a request, one at a time."""
    import base64
    import http.client
    import json
    from array import array

    connection = http.client.HTTPConnection("127.0.0.1", port)

    def embed(texts: list[str]) -> list[list[float]]:
        vectors = []
        for first in range(0, len(texts), 128):
            body = {"input": texts[first : first + 128], "encoding_format": "base64"}
            connection.request("POST", f"/embed/{SIZE}/openai", json.dumps(body))
            entries = json.loads(connection.getresponse().read())["data"]
            vectors += [array("f", base64.b64decode(entry["embedding"])).tolist() for entry in entries]
        return vectors

    return embed


def ours(port: int) -> Embed:
    """langchain_mdstream, four requests at a time."""
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    return OCIModelDeploymentEmbeddings(endpoint=_url(port), auth_type="none").embed_documents


def ours_sequential(port: int) -> Embed:
    """langchain_mdstream, one request at a time."""
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    return OCIModelDeploymentEmbeddings(endpoint=_url(port), auth_type="none", max_concurrency=1).embed_documents


def ours_async(port: int) -> Embed:
    """langchain_mdstream, asynchronously."""
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    embeddings = OCIModelDeploymentEmbeddings(endpoint=_url(port), auth_type="none")
    return lambda texts: asyncio.run(embeddings.aembed_documents(texts))


def ours_stream(port: int) -> Embed:
    """langchain_mdstream, `embed_stream`."""
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    embeddings = OCIModelDeploymentEmbeddings(endpoint=_url(port), auth_type="none")
    return lambda texts: [vector for _, vector in embeddings.embed_stream(texts)]


def ours_astream(port: int) -> Embed:
    """langchain_mdstream, `aembed_stream`."""
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    embeddings = OCIModelDeploymentEmbeddings(endpoint=_url(port), auth_type="none")

    async def embed(texts: list[str]) -> list[list[float]]:
        return [vector async for _, vector in embeddings.aembed_stream(texts)]

    return lambda texts: asyncio.run(embed(texts))


def ours_arrays(port: int) -> Embed:
    """langchain_mdstream, `embed_stream` with numpy arrays."""
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    embeddings = OCIModelDeploymentEmbeddings(endpoint=_url(port), auth_type="none")
    return lambda texts: [vector for _, vector in embeddings.embed_stream(texts, as_array=True)]


def ours_floats(port: int) -> Embed:
    """langchain_mdstream with JSON numbers instead of base64."""
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    model_kwargs = {"encoding_format": "float"}
    return OCIModelDeploymentEmbeddings(
        endpoint=_url(port), auth_type="none", model_kwargs=model_kwargs
    ).embed_documents


def ours_llamaindex(port: int) -> Embed:
    """llamaindex_mdstream."""
    from llamaindex_mdstream import OCIDataScienceEmbedding

    return OCIDataScienceEmbedding(endpoint=_url(port), auth_type="none").get_text_embedding_batch


def langchain_openai(port: int) -> Embed:
    """On the `openai` SDK, which requests base64."""
    from langchain_openai import OpenAIEmbeddings

    base = f"{_url(port)}/v1"
    return OpenAIEmbeddings(base_url=base, api_key="none", check_embedding_ctx_length=False).embed_documents


def langchain_oci(port: int) -> Embed:
    """On requests."""
    from benchmarks.peers import _basic_auth, without_ads

    without_ads()
    utils = sys.modules.setdefault("ads.model.common.utils", ModuleType("ads.model.common.utils"))
    vars(utils).setdefault("_is_json_serializable", lambda value: True)  # all that it uses of ads besides the signer
    sys.modules.setdefault("ads.model", ModuleType("ads.model"))
    sys.modules.setdefault("ads.model.common", ModuleType("ads.model.common"))
    from langchain_oci import OCIModelDeploymentEndpointEmbeddings

    url = f"{_url(port, 'nested')}/predict"
    return OCIModelDeploymentEndpointEmbeddings(endpoint=url, auth={"signer": _basic_auth()}).embed_documents


def llamaindex_oci(port: int) -> Embed:
    """On httpx, with 128 texts a request instead of its default of ten."""
    from benchmarks.peers import _basic_auth, without_ads

    without_ads()
    from llama_index.embeddings.oci_data_science import OCIDataScienceEmbedding

    auth = {"signer": _basic_auth()}
    return OCIDataScienceEmbedding(
        endpoint=f"{_url(port)}/predict", auth=auth, embed_batch_size=128
    ).get_text_embedding_batch


def _url(port: int, shape: str = "openai") -> str:
    return f"http://127.0.0.1:{port}/embed/{SIZE}/{shape}"


OURS = {
    "langchain_mdstream": ours,
    "langchain_mdstream, one request at a time": ours_sequential,
    "langchain_mdstream, async": ours_async,
    "langchain_mdstream, embed_stream": ours_stream,
    "langchain_mdstream, aembed_stream": ours_astream,
    "langchain_mdstream, embed_stream, arrays": ours_arrays,
}
OPENAI = "langchain-openai OpenAIEmbeddings, base64"
OCI_PEERS = {
    "langchain-oci, JSON numbers": langchain_oci,
    "LlamaIndex OCIDataScienceEmbedding, JSON numbers": llamaindex_oci,
}
LLAMAINDEX = {"llamaindex_mdstream": ours_llamaindex}
FLOOR = {"floor: http.client, json and array": floor}
PEERS = {OPENAI: langchain_openai, **OCI_PEERS}
NUMBERS = {"langchain_mdstream, JSON numbers": ours_floats}


def create_embedder(factory: Callable[[int], Embed], port: int) -> Embed | None:
    """Create an embedder, after a checked warm-up; `None` if the package is missing."""
    try:
        embed = factory(port)
    except ModuleNotFoundError as error:
        print(NotInstalled(f"skipped, {error.name} is not installed"))
        return None
    vectors = embed(["a"] * 200)
    if [len(vector) for vector in vectors] != [SIZE] * 200:
        raise ValueError(f"{factory.__name__}: {len(vectors)} vectors for 200 texts")
    return embed
