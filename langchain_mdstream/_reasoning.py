"""The reasoning in a message of a model, as text that can be sent back to it."""

from langchain_core.messages import AIMessage

from langchain_mdstream._blocks import PROVIDERS


def reasoning_of(message: AIMessage) -> str:
    """The reasoning of a response of ours, or of a message that names no provider; `""` for others.

    Another provider's is not sent: its blocks are signed or encrypted, and mean nothing to this model.
    """
    provider = message.response_metadata.get("model_provider")
    if provider is not None and provider not in PROVIDERS:
        return ""
    text = message.additional_kwargs.get("reasoning_content")
    if isinstance(text, str) and text:
        return text
    blocks = [block for block in message.content if isinstance(block, dict) and block.get("type") == "reasoning"]
    return "".join(block["reasoning"] for block in blocks if provider and isinstance(block.get("reasoning"), str))
