"""Dialects: API formats that turn request parameters into payloads and payloads into events.

One module per API format; the tables in `_tables.py` map names to dialects. Request parameters have the shape of the
OpenAI API, which both frameworks produce; other dialects translate them.
"""

from typing import TYPE_CHECKING

from mdstream_core._lazy import lazy_exports

if TYPE_CHECKING:
    from mdstream_core.dialects._arrays import ArrayDialect
    from mdstream_core.dialects._batch_limits import BatchLimit
    from mdstream_core.dialects._dialect import Decoder, Dialect, ListDialect
    from mdstream_core.dialects._function_tools import function_tool, with_strict
    from mdstream_core.dialects._names import (
        EmbeddingDialectName,
        GenerationDialectName,
        RerankDialectName,
        SendReasoning,
    )
    from mdstream_core.dialects._negotiation import NegotiatedDialect, ParameterMemoryDialect, RejectedParameters
    from mdstream_core.dialects._oci_model_quirks import oci_dialect_name
    from mdstream_core.dialects._reasoning_history import (
        ReasoningHistory,
        ReasoningRule,
        has_assistant_messages,
    )
    from mdstream_core.dialects._responses_items import restore_texts
    from mdstream_core.dialects._strict_schema import strict_schema
    from mdstream_core.dialects._tables import dialect, embedding_dialect, generation_dialect, rerank_dialect
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

#: Exported names by module. A module is imported when one of its names is first read.
_NAMES = {
    "_arrays": ("ArrayDialect",),
    "_batch_limits": ("BatchLimit",),
    "_dialect": ("Decoder", "Dialect", "ListDialect"),
    "_function_tools": ("function_tool", "with_strict"),
    "_negotiation": ("NegotiatedDialect", "ParameterMemoryDialect", "RejectedParameters"),
    "_oci_model_quirks": ("oci_dialect_name",),
    "_reasoning_history": ("ReasoningHistory", "ReasoningRule", "has_assistant_messages"),
    "_responses_items": ("restore_texts",),
    "_strict_schema": ("strict_schema",),
    "auto": ("Auto",),
    "embeddings": ("AutoEmbeddings", "JumpStartEmbeddings", "OCIEmbedText", "OpenAIEmbeddings", "TEIEmbeddings"),
    "guardrails": ("GUARDRAILS", "OCIApplyGuardrails", "read_guardrails"),
    "lmi": ("LMI", "JumpStartLlama"),
    "oci_cohere": ("OCICohere", "OCICohereV2"),
    "oci_generate_text": ("OCIGenerateTextCohere", "OCIGenerateTextLlama"),
    "oci_generic": ("OCIGeneric",),
    "openai": ("OpenAIChat", "OpenAICompletions"),
    "openai_responses": ("OpenAIResponses",),
    "rerank": ("AutoRerank", "OCIRerankText", "Rerank", "Score", "TEIRerank"),
    "server_info": ("Models", "Tokenize"),
    "text_parsers": ("TextParsingDialect",),
    "tgi": ("TGI",),
    "_names": ("EmbeddingDialectName", "GenerationDialectName", "RerankDialectName", "SendReasoning"),
    "_tables": ("dialect", "embedding_dialect", "generation_dialect", "rerank_dialect"),
}

if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__, __dir__ = lazy_exports(__name__, {name: module for module, names in _NAMES.items() for name in names})
