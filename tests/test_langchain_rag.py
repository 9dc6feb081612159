"""Retrieval with LangChain on every platform: loader, splitter, our embeddings, a vector store, our reranker, our chat."""

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

#: A platform: its embeddings, its reranker, its chat model, and where each of them is.
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
    """Loads the corpus."""

    def lazy_load(self) -> Iterator[Document]:
        """The whole file as one document."""
        yield Document(CORPUS.read_text("utf-8"), metadata={"source": CORPUS.name})


class Reranked(BaseRetriever):
    """What a vector store finds, in the order of a reranker: two dozen candidates, the best two."""

    store: Any
    reranker: BaseDocumentCompressor

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return list(self.reranker.compress_documents(self.store.similarity_search(query, k=12), query))

    async def _aget_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return list(await self.reranker.acompress_documents(await self.store.asimilarity_search(query, k=12), query))


def split() -> list[Document]:
    """The corpus as a splitter cuts it: at empty lines, two short paragraphs are not put together."""
    return RecursiveCharacterTextSplitter(
        chunk_size=100, chunk_overlap=0, separators=["\n\n"], keep_separator=False
    ).split_documents(Paragraphs().load())


def chain_at(emulator: Emulator, name: str) -> tuple[Reranked, Runnable[str, str]]:
    """A retriever, and the chain on it."""
    embeddings, reranker, chat, *platforms = PLATFORMS[name]
    vectors, ranking, conversation = (
        table[platform_case].fields(emulator)
        for table, platform_case in zip((EMBEDDING, RANKING, PLATFORM_CASES), platforms, strict=True)
    )
    store = InMemoryVectorStore(embeddings(**vectors, max_retries=0))
    store.add_documents(split())
    retriever = Reranked(store=store, reranker=reranker(**ranking, top_n=2, max_retries=0))
    requested = {"context": retriever | _joined, "question": RunnablePassthrough()}
    return retriever, requested | PROMPT | chat(**conversation, max_retries=0) | StrOutputParser()


def _joined(documents: list[Document]) -> str:
    return "\n\n".join(document.page_content for document in documents)


@pytest.mark.parametrize("name", PLATFORMS)
async def test_the_right_passage_is_found(emulator: Emulator, name: str) -> None:
    """For each question the amendment that answers it comes first, and the answer is out of it; sync and async."""
    retriever, chain = chain_at(emulator, name)
    for question, amendment in QUERIES.items():
        best = retriever.invoke(question)[0]
        assert best.page_content.startswith(amendment), question
        assert best == (await retriever.ainvoke(question))[0]
        answer = chain.invoke(question)

        assert answer
        assert answer in best.page_content
        assert answer == "".join(chain.stream(question)) == await chain.ainvoke(question)


@pytest.mark.parametrize("name", PLATFORMS)
async def test_a_chain_whose_stream_breaks_raises(emulator: Emulator, name: str) -> None:
    """What came before is delivered, and the error is raised; sync and async."""
    _, chain = chain_at(emulator, name)
    question = next(iter(QUERIES))
    whole = chain.invoke(question)
    found = (None,) * 2  # the question's vector, and the ranking
    for read in (_stream, _astream):
        emulator.reset()
        emulator.script(*found, Fault("cut", after=4))
        pieces: list[str] = []
        with pytest.raises(StreamInterrupted) as caught:
            await read(chain, question, pieces)
        assert "".join(pieces)
        assert whole.startswith("".join(pieces))
        assert "".join(pieces) == caught.value.partial.text  # type: ignore[union-attr]


async def _stream(chain: Any, question: str, pieces: list[str]) -> None:
    for piece in chain.stream(question):
        pieces.append(piece)  # noqa: PERF402  # what came before the error counts


async def _astream(chain: Any, question: str, pieces: list[str]) -> None:
    async for piece in chain.astream(question):
        pieces.append(piece)  # noqa: PERF401


def test_a_reranker_that_fails_is_seen(emulator: Emulator) -> None:
    """No answer is made from an unranked context."""
    _, chain = chain_at(emulator, "OCI model deployment")
    emulator.reset()
    emulator.script(None, Fault("body", data=b'{"error":{"message":"the model server failed","code":500}}'))

    with pytest.raises(StreamFailure):
        chain.invoke("Are cruel and unusual punishments allowed?")
