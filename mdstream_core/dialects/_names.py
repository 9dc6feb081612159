"""The names of dialects, in types that pydantic and editors read. They are apart, because they are needed first."""

from typing import Literal

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

#: The messages whose reasoning is sent: none; those with tool calls since the user's last message; all.
SendReasoning = Literal["never", "tool_turns", "always"]
