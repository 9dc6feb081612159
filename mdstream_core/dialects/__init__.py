"""Dialects: API formats that turn request parameters into payloads and payloads into events.

One module per API format; the tables below map names to dialects. Request parameters have the shape of the OpenAI API,
which both frameworks produce; other dialects translate them.
"""

from collections.abc import Mapping
from typing import Literal, TypeVar, get_args

from mdstream_core._choices import find_choice
from mdstream_core.dialects._arrays import ArrayDialect
from mdstream_core.dialects._batch_limits import BatchLimit
from mdstream_core.dialects._dialect import Decoder, Dialect, ListDialect
from mdstream_core.dialects._function_tools import function_tool, with_strict
from mdstream_core.dialects._negotiation import NegotiatedDialect, ParameterMemoryDialect, RejectedParameters
from mdstream_core.dialects._oci_model_quirks import oci_dialect_name
from mdstream_core.dialects._reasoning_history import (
    ReasoningHistory,
    ReasoningRule,
    SendReasoning,
    has_assistant_messages,
)
from mdstream_core.dialects._responses_items import restore_texts
from mdstream_core.dialects._strict_schema import strict_schema
from mdstream_core.dialects.auto import Auto
from mdstream_core.dialects.embeddings import (
    AutoEmbeddings,
    JumpStartEmbeddings,
    OCIEmbedText,
    OpenAIEmbeddings,
    TEIEmbeddings,
)
from mdstream_core.dialects.guardrails import GUARDRAILS, OCIApplyGuardrails, read_guardrails
from mdstream_core.dialects.lmi import LMI, JumpStartLlama
from mdstream_core.dialects.oci_cohere import OCICohere, OCICohereV2
from mdstream_core.dialects.oci_generate_text import OCIGenerateTextCohere, OCIGenerateTextLlama
from mdstream_core.dialects.oci_generic import OCIGeneric
from mdstream_core.dialects.openai import OpenAIChat, OpenAICompletions
from mdstream_core.dialects.openai_responses import OpenAIResponses
from mdstream_core.dialects.rerank import AutoRerank, OCIRerankText, Rerank, Score, TEIRerank
from mdstream_core.dialects.server_info import Models, Tokenize
from mdstream_core.dialects.text_parsers import TextParsingDialect
from mdstream_core.dialects.tgi import TGI

__all__ = [
    "GUARDRAILS",
    "LMI",
    "TGI",
    "ArrayDialect",
    "Auto",
    "AutoEmbeddings",
    "AutoRerank",
    "BatchLimit",
    "Decoder",
    "Dialect",
    "EmbeddingDialectName",
    "GenerationDialectName",
    "JumpStartEmbeddings",
    "JumpStartLlama",
    "ListDialect",
    "Models",
    "NegotiatedDialect",
    "OCIApplyGuardrails",
    "OCICohere",
    "OCICohereV2",
    "OCIEmbedText",
    "OCIGenerateTextCohere",
    "OCIGenerateTextLlama",
    "OCIGeneric",
    "OCIRerankText",
    "OpenAIChat",
    "OpenAICompletions",
    "OpenAIEmbeddings",
    "OpenAIResponses",
    "ParameterMemoryDialect",
    "ReasoningHistory",
    "ReasoningRule",
    "RejectedParameters",
    "Rerank",
    "RerankDialectName",
    "Score",
    "SendReasoning",
    "TEIEmbeddings",
    "TEIRerank",
    "TextParsingDialect",
    "Tokenize",
    "dialect",
    "embedding_dialect",
    "function_tool",
    "generation_dialect",
    "has_assistant_messages",
    "oci_dialect_name",
    "read_guardrails",
    "rerank_dialect",
    "restore_texts",
    "strict_schema",
    "with_strict",
]

D = TypeVar("D", bound=Dialect)

#: The dialects of chat and completion models.
GenerationDialectName = Literal[
    "openai-chat",
    "openai-completions",
    "openai-responses",
    "auto",
    "tgi",
    "lmi",
    "jumpstart-llama",
    "oci-generic",
    "oci-generic-google",
    "oci-generic-openai",
    "oci-cohere",
    "oci-cohere-v2",
    "oci-generate-text-cohere",
    "oci-generate-text-llama",
]

#: The dialects of embeddings.
EmbeddingDialectName = Literal[
    "openai-embeddings", "tei-embeddings", "jumpstart-embeddings", "auto-embeddings", "oci-embed-text"
]

#: The dialects of rerankers.
RerankDialectName = Literal["rerank", "score", "tei-rerank", "auto-rerank", "oci-rerank-text"]

_OCI_CHAT = (OCIGeneric(), OCIGeneric("google"), OCIGeneric("openai"), OCICohere(), OCICohereV2())
_OCI = (*_OCI_CHAT, OCIGenerateTextCohere(), OCIGenerateTextLlama())
_EMBEDDINGS: dict[str, ListDialect] = {
    known.name: known
    for known in (OpenAIEmbeddings(), TEIEmbeddings(), JumpStartEmbeddings(), AutoEmbeddings(), OCIEmbedText())
}
_RERANKERS: dict[str, ListDialect] = {
    entry.name: entry for entry in (Rerank(), Score(), TEIRerank(), AutoRerank(), OCIRerankText())
}
_OPENAI = (OpenAIChat(), OpenAICompletions(), OpenAIResponses(), Auto(), Models(), Tokenize())
_DIALECTS: dict[str, Dialect] = {
    **{entry.name: entry for entry in (*_OPENAI, TGI(), LMI(), JumpStartLlama(), *_OCI)},
    **_EMBEDDINGS,
    **_RERANKERS,
    OCIApplyGuardrails.name: OCIApplyGuardrails(),
}
_GENERATION: dict[str, Dialect] = {name: _DIALECTS[name] for name in get_args(GenerationDialectName)}


def dialect(name: str) -> Dialect:
    """Return the dialect of this name.

    Args:
        name: For example `openai-chat`, `tgi` or `oci-generic`.

    Raises:
        ValueError: The name is unknown; the message lists the known names.

    >>> dialect("openai-chat").route
    '/v1/chat/completions'
    """
    return _find(_DIALECTS, name)


def generation_dialect(name: str) -> Dialect:
    """Return the dialect of this name for chat and completion models. Raises `ValueError` like `dialect`."""
    return _find(_GENERATION, name)


def embedding_dialect(name: str) -> ListDialect:
    """Return the embedding dialect of this name. Raises `ValueError` like `dialect`."""
    return _find(_EMBEDDINGS, name)


def rerank_dialect(name: str) -> ListDialect:
    """Return the rerank dialect of this name. Raises `ValueError` like `dialect`."""
    return _find(_RERANKERS, name)


def _find(table: Mapping[str, D], name: str) -> D:
    return table[find_choice("dialect", name, table)]
