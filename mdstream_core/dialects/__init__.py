"""What is spoken inside: payloads ⇄ events. One file per API format, one table that names them.

The core speaks the OpenAI JSON shape for questions, which both frameworks produce; other dialects translate from it.
"""

from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects._oci_quirks import oci_dialect_name
from mdstream_core.dialects.auto import Auto
from mdstream_core.dialects.embeddings import OCIEmbedText, OpenAIEmbeddings, TEIEmbeddings
from mdstream_core.dialects.lmi import LMI, JumpStartLlama
from mdstream_core.dialects.oci_cohere import OCICohere, OCICohereV2
from mdstream_core.dialects.oci_generate_text import OCIGenerateTextCohere, OCIGenerateTextLlama
from mdstream_core.dialects.oci_generic import OCIGeneric
from mdstream_core.dialects.openai import OpenAIChat, OpenAICompletions
from mdstream_core.dialects.rerank import OCIRerankText, Rerank, TEIRerank
from mdstream_core.dialects.tgi import TGI

__all__ = [
    "LMI",
    "TGI",
    "Auto",
    "Decoder",
    "Dialect",
    "JumpStartLlama",
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
    "Rerank",
    "TEIEmbeddings",
    "TEIRerank",
    "dialect",
    "oci_dialect_name",
]

_OCI = (OCIGeneric(), OCICohere(), OCICohereV2(), OCIGenerateTextCohere(), OCIGenerateTextLlama())
_VECTORS = (OpenAIEmbeddings(), TEIEmbeddings(), OCIEmbedText(), Rerank(), TEIRerank(), OCIRerankText())
_TABLE: dict[str, Dialect] = {
    known.name: known
    for known in (OpenAIChat(), OpenAICompletions(), Auto(), TGI(), LMI(), JumpStartLlama(), *_OCI, *_VECTORS)
}


def dialect(name: str) -> Dialect:
    """The dialect of this name; `ValueError` names those that exist.

    >>> dialect("openai-chat").route
    '/v1/chat/completions'
    """
    try:
        return _TABLE[name]
    except KeyError:
        raise ValueError(f"dialect={name!r} is unknown; there are: {', '.join(_TABLE)}") from None
