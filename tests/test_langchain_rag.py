"""Retrieval with LangChain on every platform: loader, splitter, embeddings, vector store, reranker and chat model."""

from collections.abc import Iterator
from typing import Any

import pytest
from _corpus import CORPUS, QUERIES
from _embedding_platforms import EMBEDDING, RANKING
from _platforms import PLATFORM_CASES, emulator, shared_emulator
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter

import langchain_mdstream as ours
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import StreamFailure, StreamInterrupted

__all__ = ["emulator", "shared_emulator"]  # fixtures

#: For each platform: embedding model, reranker and chat model, and the platform case of each.
PLATFORMS: dict[str, tuple[Any, Any, Any, str, str, str]] = {
    "OCI model deployment": (
        ours.OCIModelDeploymentEmbeddings,
        ours.OCIModelDeploymentRerank,
        ours.ChatOCIModelDeployment,
        "OCI model deployment, vLLM",
        "OCI model deployment",
        "OCI model deployment",
    ),
    "OCI Generative AI": (
        ours.OCIGenAIEmbeddings,
        ours.OCIGenAIRerank,
        ours.ChatOCIGenAI,
        "OCI GenAI",
        "OCI GenAI",
        "OCI GenAI COHERE",
    ),
    "SageMaker": (
        ours.SagemakerEndpointEmbeddings,
        ours.SagemakerEndpointRerank,
        ours.ChatSagemakerEndpoint,
        "SageMaker TEI",
        "SageMaker TEI",
        "SageMaker vLLM",
    ),
    "ModelArts": (
        ours.ModelArtsEmbeddings,
        ours.ModelArtsRerank,
        ours.ChatModelArts,
        "ModelArts",
        "MaaS",
        "ModelArts WebSocket",
    ),
}

PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from the context alone."),
        ("human", "Context:\n{context}\n\nQuestion: {question}"),
    ]
)


class Paragraphs(BaseLoader):
    """Loader of the corpus."""

    def lazy_load(self) -> Iterator[Document]:
        """Yield the whole file as one document."""
        yield Document(CORPUS.read_text("utf-8"), metadata={"source": CORPUS.name})


class Reranked(BaseRetriever):
    """Retriever that reranks 24 candidates of a vector store and returns the best two."""

    store: Any
    reranker: BaseDocumentCompressor

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return list(self.reranker.compress_documents(self.store.similarity_search(query, k=12), query))

    async def _aget_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return list(await self.reranker.acompress_documents(await self.store.asimilarity_search(query, k=12), query))


def split() -> list[Document]:
    """Split the corpus at empty lines, without merging short paragraphs."""
    return RecursiveCharacterTextSplitter(
        chunk_size=100, chunk_overlap=0, separators=["\n\n"], keep_separator=False
    ).split_documents(Paragraphs().load())


def chain_at(emulator: Emulator, name: str) -> tuple[Reranked, Runnable[str, str]]:
    """Retriever, and the chain with it."""
    embeddings, reranker, chat, *platforms = PLATFORMS[name]
    vectors, ranking, conversation = (
        table[platform_case].fields(emulator)
        for table, platform_case in zip((EMBEDDING, RANKING, PLATFORM_CASES), platforms, strict=True)
    )
    store = InMemoryVectorStore(embeddings(**vectors, max_retries=0))
    store.add_documents(split())
    retriever = Reranked(store=store, reranker=reranker(**ranking, top_n=2, max_retries=0))
    inputs = {"context": retriever | _joined, "question": RunnablePassthrough()}
    return retriever, inputs | PROMPT | chat(**conversation, max_retries=0) | StrOutputParser()


def _joined(documents: list[Document]) -> str:
    return "\n\n".join(document.page_content for document in documents)


@pytest.mark.parametrize("name", PLATFORMS)
async def test_the_right_passage_is_found(emulator: Emulator, name: str) -> None:
    """The amendment that matches the query is ranked first, and the output quotes it; sync and async."""
    retriever, chain = chain_at(emulator, name)
    for query, amendment in QUERIES.items():
        best = retriever.invoke(query)[0]
        assert best.page_content.startswith(amendment), query
        assert best == (await retriever.ainvoke(query))[0]
        output = chain.invoke(query)

        assert output
        assert output in best.page_content
        assert output == "".join(chain.stream(query)) == await chain.ainvoke(query)


@pytest.mark.parametrize("name", PLATFORMS)
async def test_a_chain_raises_the_error_of_its_stream(emulator: Emulator, name: str) -> None:
    """The received output is delivered, then the error is raised; sync and async."""
    _, chain = chain_at(emulator, name)
    query = next(iter(QUERIES))
    whole = chain.invoke(query)
    successes = (None,) * 2  # the embedding of the query, and the ranking
    for read in (_stream, _astream):
        emulator.reset()
        emulator.script(*successes, Fault("cut", after=4))
        pieces: list[str] = []
        with pytest.raises(StreamInterrupted) as caught:
            await read(chain, query, pieces)
        assert "".join(pieces)
        assert whole.startswith("".join(pieces))
        assert "".join(pieces) == caught.value.partial.text  # type: ignore[union-attr]


async def _stream(chain: Any, query: str, pieces: list[str]) -> None:
    for piece in chain.stream(query):
        pieces.append(piece)  # noqa: PERF402  # keeps the output before the error


async def _astream(chain: Any, query: str, pieces: list[str]) -> None:
    async for piece in chain.astream(query):
        pieces.append(piece)  # noqa: PERF401


def test_the_error_of_a_reranker_propagates(emulator: Emulator) -> None:
    """The error of a reranker propagates; the chat model gets no request."""
    _, chain = chain_at(emulator, "OCI model deployment")
    emulator.reset()
    emulator.script(None, Fault("body", data=b'{"error":{"message":"the model server failed","code":500}}'))

    with pytest.raises(StreamFailure):
        chain.invoke("Are cruel and unusual punishments allowed?")
