"""OCI Generative AI: chat, text generation, embeddings, reranking, guardrails; Oracle's own formats, and OpenAI's."""

from mdstream_core.emulator.services.oci_genai.guardrails import GuardrailRules
from mdstream_core.emulator.services.oci_genai.service import COMPARTMENT, CONVERSATION_STORE, GenerativeAIService

__all__ = ["COMPARTMENT", "CONVERSATION_STORE", "GenerativeAIService", "GuardrailRules"]
