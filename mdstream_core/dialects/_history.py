"""A model's messages in a conversation: parts of other formats are left out, its text is kept.

What a person, the system or a tool says is refused where a format has no place for it. What a model said elsewhere may
hold parts that only its own provider understands; the conversation can go on without them.
"""

import warnings
from collections.abc import Container, Mapping
from typing import Any

#: What a model made that somebody may miss.
_MEDIA = frozenset({"audio", "audio_url", "file", "image", "image_url", "input_audio", "video", "video_url"})

#: The types of parts that are text; a part without a type is one too.
_TEXTS = (None, "text", "output_text", "refusal")


def history_content(message: Mapping[str, Any], takes: Container[str] = ()) -> Any:
    """The content of a message; of a model's message without the parts that the format cannot take.

    Args:
        message: A message in the OpenAI shape.
        takes: The types of parts that the format takes beside text.

    >>> history_content({"role": "assistant", "content": [{"type": "thinking"}, {"type": "text", "text": "Yes."}]})
    [{'type': 'text', 'text': 'Yes.'}]
    """
    content = message.get("content")
    if message.get("role") != "assistant" or content is None or isinstance(content, str):
        return content
    return [kept for part in content if (kept := _kept(part, takes)) is not None]


def _kept(part: Any, takes: Container[str]) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, Mapping):
        return None
    kind = part.get("type")
    text = part.get("text", part.get("refusal"))
    if kind in _TEXTS:
        return {"type": "text", "text": text} if isinstance(text, str) else None
    if kind in takes:
        return part
    if kind in _MEDIA:
        sentence = f"a part of type {kind!r} in a model's message has no place in this format, and is left out"
        warnings.warn(sentence, RuntimeWarning, stacklevel=2)
    return None
