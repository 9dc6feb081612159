"""The tables that map names to dialects."""

from collections.abc import Mapping
from typing import TypeVar, get_args

from mdstream_core._choices import find_choice
from mdstream_core.dialects._dialect import Dialect, ListDialect
from mdstream_core.dialects._names import GenerationDialectName
from mdstream_core.dialects.auto import Auto
from mdstream_core.dialects.embeddings import (
    AutoEmbeddings,
    JumpStartEmbeddings,
    OCIEmbedText,
    OpenAIEmbeddings,
    TEIEmbeddings,
)
from mdstream_core.dialects.guardrails import OCIApplyGuardrails
from mdstream_core.dialects.lmi import LMI, JumpStartLlama
from mdstream_core.dialects.oci_cohere import OCICohere, OCICohereV2
from mdstream_core.dialects.oci_generate_text import OCIGenerateTextCohere, OCIGenerateTextLlama
from mdstream_core.dialects.oci_generic import OCIGeneric
from mdstream_core.dialects.openai import OpenAIChat, OpenAICompletions
from mdstream_core.dialects.openai_responses import OpenAIResponses
from mdstream_core.dialects.rerank import AutoRerank, OCIRerankText, Rerank, Score, TEIRerank
from mdstream_core.dialects.server_info import Models, Tokenize
from mdstream_core.dialects.tgi import TGI

D = TypeVar("D", bound=Dialect)

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
