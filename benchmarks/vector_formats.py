"""The formats in which servers send vectors, read as lists and as numpy arrays, by both frameworks and the core."""
# ruff: noqa: PLC0415  (a benchmark imports only the package that it measures)

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.bench import Bench
from benchmarks.embedders import SIZE
from benchmarks.measure import Track, cpu
from benchmarks.table import Row, Table, Target

#: Texts of one call, and of one request: the same for all formats, so that only these differ.
TEXTS, BATCH_SIZE = 1024, 128

#: Format: shape of the server's responses, dialect, and fields of the requests.
_FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "base64": ("openai", "openai-embeddings", {}),
    "JSON numbers, 17 digits": ("openai", "openai-embeddings", {"encoding_format": "float"}),
    "JSON numbers, 9 digits": ("tei", "tei-embeddings", {}),
}

#: How much more CPU time than base64 the other formats may take.
_TARGET = 1.2

Embed = Callable[[list[str]], Any]


def _core(url: str, dialect: str, fields: dict[str, Any]) -> dict[str, Embed]:
    from mdstream_core import OCIModelDeployment, Service, embedding_dialect

    service = Service(OCIModelDeployment(url))
    embed = {
        "lists": partial(service.gather, embedding_dialect(dialect), fields),
        "array": partial(service.gather_array, embedding_dialect(dialect), fields),
    }
    return {
        name: lambda texts, embed=function: embed(texts, batch_size=BATCH_SIZE, max_concurrency=4)
        for name, function in embed.items()
    }


def _langchain(url: str, dialect: Any, fields: dict[str, Any]) -> dict[str, Embed]:
    from langchain_mdstream import OCIModelDeploymentEmbeddings

    model = OCIModelDeploymentEmbeddings(
        endpoint=url, auth_type="none", dialect=dialect, batch_size=BATCH_SIZE, model_kwargs=fields
    )
    return {
        "lists": model.embed_documents,
        "lists, async": lambda texts: asyncio.run(model.aembed_documents(texts)),
        "array": model.embed_array,
        "array, async": lambda texts: asyncio.run(model.aembed_array(texts)),
    }


def _llamaindex(url: str, dialect: Any, fields: dict[str, Any]) -> dict[str, Embed]:
    from llamaindex_mdstream import OCIDataScienceEmbedding

    model = OCIDataScienceEmbedding(
        endpoint=url, auth_type="none", dialect=dialect, batch_size=BATCH_SIZE, additional_kwargs=fields
    )
    return {
        "lists": model.get_text_embedding_batch,
        "lists, async": lambda texts: asyncio.run(model.aget_text_embedding_batch(texts)),
        "array": model.embed_array,
        "array, async": lambda texts: asyncio.run(model.aembed_array(texts)),
    }


_PACKAGES = {"Core": _core, "LangChain": _langchain, "LlamaIndex": _llamaindex}


def compare(bench: Bench) -> Iterator[Table]:
    """Measure each format; the targets are those of lists, compared with lists from base64."""
    texts = [f"text {number}" for number in range(TEXTS)]
    for package, create in _PACKAGES.items():
        embed = {
            (name, kind): function
            for name, (shape, dialect, fields) in _FORMATS.items()
            for kind, function in create(
                f"http://127.0.0.1:{bench.server.port}/embed/{SIZE}/{shape}", dialect, fields
            ).items()
        }
        peaks = [_check(function, texts) for function in embed.values()]
        costs = cpu([Track(partial(function, texts), TEXTS) for function in embed.values()], 3 if bench.quick else 15)
        by_key = dict(zip(embed, costs, strict=True))
        rows = []
        for (name, kind), cost, peak in zip(embed, costs, peaks, strict=True):
            target = (Target(1, _TARGET),) if name != "base64" and kind.startswith("lists") else ()
            rows.append(Row(f"{name}, {kind}", (cost, cost / by_key["base64", kind], cost / costs[0], peak), target))
        columns = ("µs a text", "x its base64", "x base64 lists", "peak MiB")
        title = f"{package}: {TEXTS:,} vectors of {SIZE:,} numbers, by format"
        yield Table(title, columns, rows, f"{package} vector formats")


def _check(embed: Embed, texts: list[str]) -> float:
    """Check that each text has a vector, as a warm-up too, and return the peak memory of the call in MiB."""
    embed(texts)
    tracemalloc.start()
    vectors = embed(texts)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    vectors = [one.vector for one in vectors.embeddings] if hasattr(vectors, "embeddings") else vectors
    if {len(vector) for vector in vectors} != {SIZE} or len(vectors) != len(texts):
        raise ValueError(f"{len(vectors)} vectors for {len(texts)} texts")
    return peak
