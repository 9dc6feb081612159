"""What is spoken inside: payloads ⇄ events. One file per API format, one table that names them.

The core speaks the OpenAI JSON shape for questions, which both frameworks produce; other dialects translate from it.
"""

from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects.openai import OpenAIChat, OpenAICompletions

__all__ = ["Decoder", "Dialect", "OpenAIChat", "OpenAICompletions", "dialect"]

_TABLE: dict[str, Dialect] = {known.name: known for known in (OpenAIChat(), OpenAICompletions())}


def dialect(name: str) -> Dialect:
    """The dialect of this name; `ValueError` names those that exist.

    >>> dialect("openai-chat").route
    '/v1/chat/completions'
    """
    try:
        return _TABLE[name]
    except KeyError:
        raise ValueError(f"dialect={name!r} is unknown; there are: {', '.join(_TABLE)}") from None
