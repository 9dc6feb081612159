"""The rerankers, one class for each platform."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import Field, model_validator

from llamaindex_mdstream._aliases import RerankAliases
from llamaindex_mdstream._connection_fields import ConnectionFields
from llamaindex_mdstream._platforms import ModelArtsMixin, OCIGenerativeAIMixin, OCIModelDeploymentMixin, SageMakerMixin
from mdstream_core import ListDialect, ModelResponse, Timeout, rerank_dialect
from mdstream_core.options import RerankDialect

_dispatcher = get_dispatcher(__name__)


class MDStreamRerank(RerankAliases, ConnectionFields, BaseNodePostprocessor):
    """A reranker that a cloud hosts: the nodes that fit the query best, the best first, or an error.

    More nodes than a service takes are sent in several requests, and their scores put together: each score is of one
    node alone. What is ranked is a node's text with the metadata that embeddings see.
    """

    dialect: RerankDialect | None = Field(
        default=None, description="The API format of the endpoint; default: that of the platform's models."
    )
    model: str = Field(default="", description="The model's name; not sent where it is empty.")
    top_n: int = Field(default=3, gt=0, description="How many nodes to keep.")
    batch_size: int | None = Field(default=None, gt=0, description="Nodes of one request; default: the service's most.")
    max_concurrency: int = Field(default=4, gt=0, description="How many requests may be under way at once.")
    additional_kwargs: dict[str, Any] = Field(default_factory=dict, description="Further fields of each request.")

    _other_names: ClassVar[dict[str, str]] = {"model_name": "model", "model_id": "model", "request_timeout": "timeout"}

    def rank(self, texts: Sequence[str], query: str, *, top_n: int | None = None) -> ModelResponse:
        """The ranking of texts: `reply.ranking`, each with `index` and `score`, the best first; and `reply.usage`.

        Args:
            texts: Any number of texts.
            query: The question.
            top_n: How many to give; default: the object's own number.

        Raises:
            MDStreamError: The service failed; nothing is ranked by half.
        """
        most = self.top_n if top_n is None else top_n
        return self._get_service().gather(
            self._resolve_dialect(),
            self._build_params(query, most),
            texts,
            batch_size=self.batch_size,
            max_concurrency=self.max_concurrency,
            max_results=most,
        )

    async def arank(self, texts: Sequence[str], query: str, *, top_n: int | None = None) -> ModelResponse:
        """`rank`, awaited."""
        await self._prepare_service()
        most = self.top_n if top_n is None else top_n
        return await self._get_service().agather(
            self._resolve_dialect(),
            self._build_params(query, most),
            texts,
            batch_size=self.batch_size,
            max_concurrency=self.max_concurrency,
            max_results=most,
        )

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._observe(nodes, query) as best:
            best += _to_nodes(nodes, self.rank(_texts(nodes), query))
        return best

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        if not nodes:
            return []
        with self._observe(nodes, query) as best:
            best += _to_nodes(nodes, await self.arank(_texts(nodes), query))
        return best

    @contextmanager
    def _observe(self, nodes: list[NodeWithScore], query: str) -> Iterator[list[NodeWithScore]]:
        """What observers are told; the list that is yielded takes the best nodes."""
        best: list[NodeWithScore] = []
        name = self._known_as() or "unknown"
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=self.top_n, model_name=name))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: self.top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield best
            event.on_end(payload={EventPayload.NODES: best})
        _dispatcher.event(ReRankEndEvent(nodes=best))

    def _known_as(self) -> str:
        return self.model

    def _build_params(self, query: str, top_n: int) -> dict[str, Any]:
        said = {"model": self.model or None, "query": query, "top_n": top_n}
        return {**said, **self.additional_kwargs, **(self.extra_body or {})}

    def _resolve_dialect(self) -> ListDialect:
        return rerank_dialect(self.dialect or self._default_dialect(self.model, "rerank"))

    @model_validator(mode="after")
    def _validate(self) -> Self:
        Timeout.from_value(self.timeout)
        self._validate_fields()
        self._resolve_dialect()
        return self


def _query(bundle: QueryBundle | None) -> str:
    if bundle is None:
        raise ValueError("query_bundle is missing: a reranker needs the question")
    return bundle.query_str


def _texts(nodes: list[NodeWithScore]) -> list[str]:
    return [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def _to_nodes(nodes: list[NodeWithScore], response: ModelResponse) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[one.index].node, score=one.score) for one in response.ranking]


class OCIDataScienceRerank(OCIModelDeploymentMixin, MDStreamRerank):
    """A reranker on an OCI Data Science model deployment: vLLM or infinity (`/v1/rerank`).

    `dialect="score"` asks vLLM's `/v1/score`, `dialect="tei-rerank"` TEI. The fields of the connection are those of
    `OCIDataScience`.

    Example:
        >>> OCIDataScienceRerank(endpoint="http://127.0.0.1:8080/ocid1.x", auth_type="none", top_n=5).top_n
        5
    """

    model: str = Field(default="odsc-llm", description="The model's name, as the server knows it.")

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_oci_model_deployment_rerank"


class OCIGenAIRerank(OCIGenerativeAIMixin, MDStreamRerank):
    """A reranker of OCI Generative AI (`rerankText`). The fields of the connection are those of `OCIGenAI`.

    Example:
        >>> OCIGenAIRerank(
        ...     model="cohere.rerank.v3.5", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... ).model
        'cohere.rerank.v3.5'
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_oci_genai_rerank"

    def _validate_fields(self) -> None:
        super()._validate_fields()
        if not self.model:
            raise ValueError("model is missing: give one such as 'cohere.rerank.v3.5', or an endpoint's OCID")
        if not self.compartment_id:
            raise ValueError("compartment_id is missing: the service bills a compartment, ocid1.compartment.oc1..…")


class SageMakerRerank(SageMakerMixin, MDStreamRerank):
    """A reranker on an Amazon SageMaker endpoint: TEI or vLLM, found out by asking; `dialect` says it at once.

    The fields of the connection are those of `SageMakerLLM`.

    Example:
        >>> SageMakerRerank(endpoint_name="my-endpoint", region_name="us-east-1").endpoint_name
        'my-endpoint'
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_sagemaker_rerank"

    def _known_as(self) -> str:
        return self.model or self.endpoint_name


class ModelArtsRerank(ModelArtsMixin, MDStreamRerank):
    """A reranker on a Huawei ModelArts real-time service, or of MaaS. The fields of the connection are `ModelArts`'s.

    Example:
        >>> ModelArtsRerank(
        ...     endpoint="https://api.modelarts-maas.com/v1", model="bge-reranker-v2-m3", api_key="..."
        ... ).model
        'bge-reranker-v2-m3'
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "mdstream_modelarts_rerank"
