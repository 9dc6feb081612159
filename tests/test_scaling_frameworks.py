"""The recipes of docs/scaling-out.md that need no engine: LlamaIndex' IngestionPipeline and LangChain's batch."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from _docs_pages import PAGES, addresses, blocks
from _rows import FRAMEWORKS, TOO_LONG, embeddings_of, emulator_of_rows
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import Document

from mdstream_core import RateLimit
from mdstream_core.batch import EmbedColumn
from mdstream_core.emulator import Emulator, Fault

PAGE = PAGES["docs/scaling-out.md"]

#: Sections with a recipe, which a reader can survey.
RECIPES = ("Ray Data", "Spark", "Dask", "LlamaIndex IngestionPipeline", "LangChain batch and abatch")

#: Number of documents.
COUNT = 300


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def run_recipe(heading: str, emulator: Emulator, **names: Any) -> dict[str, Any]:
    """Run the block of a section with these names, and return all names."""
    (block,) = blocks(section(heading), "python")
    code = block.code
    for pattern, address in addresses(emulator).items():
        code = re.sub(pattern, address, code)
    exec(compile(code, heading, "exec"), names)
    return names


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator that rejects long texts."""
    with emulator_of_rows() as emulator:
        yield emulator


@pytest.fixture
def limit() -> RateLimit:
    """A limit that is not reached."""
    return RateLimit(10_000)


@pytest.mark.parametrize("heading", RECIPES)
def test_recipes_are_short(heading: str) -> None:
    """
    At most 15 lines of code.
    """
    found = blocks(section(heading), "python")

    assert found
    assert [] == [block.line for block in found if len([line for line in block.code.splitlines() if line.strip()]) > 15]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_document_of_a_pipeline_is_lost(framework: str, emulator: Emulator, limit: RateLimit) -> None:
    """
    With faults in 3 % of the requests, and two texts that are refused: these have their error and no vector.
    """
    emulator.script(*(Fault("refuse", "internal") if index % 33 == 0 else None for index in range(COUNT)))
    embeddings = embeddings_of(framework, emulator, max_retries=3)
    names = run_recipe(
        "LlamaIndex IngestionPipeline", emulator, embeddings=embeddings, limit=limit, EmbedColumn=EmbedColumn
    )
    names["column"] = EmbedColumn(embeddings, "text")
    texts = [f"text {index}" for index in range(COUNT)]
    texts[7] = texts[200] = TOO_LONG
    nodes = names["pipeline"].run(documents=[Document(text=text) for text in texts])
    failed = [index for index, node in enumerate(nodes) if node.embedding is None]

    assert texts == [node.text for node in nodes]
    assert [7, 200] == failed == [index for index, node in enumerate(nodes) if "error" in node.metadata]
    assert all(nodes[index].metadata["error"].startswith("ContextOverflow") for index in failed)
    assert {8} == {len(node.embedding) for node in nodes if node.embedding is not None}


def test_a_vector_store_has_the_embedded_documents(emulator: Emulator, limit: RateLimit) -> None:
    """
    Without those that failed.
    """
    embeddings = embeddings_of("llamaindex", emulator)
    names = run_recipe(
        "LlamaIndex IngestionPipeline", emulator, embeddings=embeddings, limit=limit, EmbedColumn=EmbedColumn
    )
    index = VectorStoreIndex([], embed_model=MockEmbedding(8))
    pipeline = IngestionPipeline(
        transformations=names["pipeline"].transformations, vector_store=index.vector_store, disable_cache=True
    )
    nodes = pipeline.run(documents=[Document(text="the Nile"), Document(text=TOO_LONG), Document(text="the Alps")])

    assert [True, False, True] == [node.embedding is not None for node in nodes]
    assert {nodes[0].id_, nodes[2].id_} == set(index.vector_store.to_dict()["embedding_dict"])


def test_the_batch_of_the_page_has_no_failures(emulator: Emulator, limit: RateLimit) -> None:
    """
    Its model is limited by the shared limit.
    """
    names = run_recipe("LangChain batch and abatch", emulator, limit=limit)

    assert names["chat"].rate_limit is limit
    assert 3 == len(names["results"])
    assert {} == names["failed"]
