"""Images and other media in tool results: they are sent in a user message after the results.

Servers take media in user messages only: OpenAI rejects an image in a tool message ("Image URLs are only allowed for
messages with role 'user'"), or accepts it and its model does not see it (openai/openai-openapi#523); vLLM rejects it
(vllm-project/vllm#43203). The API of Cohere has text and documents in tool messages.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mdstream_core.dialects._tool_results import pair_results

_RESULT_ROLES = frozenset({"tool", "function"})

#: Types of content that has no parts.
_WITHOUT_PARTS = frozenset({str, type(None)})

#: Content of a tool message whose result has no text: many servers reject an empty one.
MOVED_RESULT = "The result is in the next message."

Message = Mapping[str, Any]
Part = Mapping[str, Any]


def move_tool_media(messages: Sequence[Message]) -> Sequence[Message]:
    """Return the messages with the media of tool results in a user message after the last result of their round.

    The media of each result follow a text that names its call. If the next message is a user's, the media become its
    first parts, because chat templates may require that roles alternate.

    Args:
        messages: A conversation; it is not changed.

    Returns:
        The same object if no tool result has media.

    Example:
        >>> image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}
        >>> result = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "A chart"}, image]}
        >>> sent, following = move_tool_media([result])
        >>> sent["content"], following["content"][0]["text"], following["content"][1] == image
        ('A chart', 'Result of the tool call call_1:', True)
    """
    media = {at: parts for at, message in enumerate(messages) if not _is_plain(message) and (parts := _media(message))}
    if not media:
        return messages
    pairs = pair_results(messages)
    moved: list[Message] = []
    pending: list[Part] = []
    for at, message in enumerate(messages):
        role = message.get("role")
        if at in media:
            call = messages[pairs[at][0]]["tool_calls"][pairs[at][1]] if at in pairs else {}
            pending += [{"type": "text", "text": _label(message, call)}, *media[at]]
            moved.append({**message, "content": _text(message) or MOVED_RESULT})
        elif pending and role not in _RESULT_ROLES:
            moved += [_prepend(pending, message)] if role == "user" else [_user_message(pending), message]
            pending = []
        else:
            moved.append(message)
    return [*moved, _user_message(pending)] if pending else moved


def _is_plain(message: Any) -> bool:
    """Whether a message is a dictionary whose content is a text or missing, as almost all are."""
    return type(message) is dict and type(message.get("content")) in _WITHOUT_PARTS


def _media(message: Any) -> list[Part]:
    """Return the parts of a tool result that are not text."""
    if not isinstance(message, Mapping) or message.get("role") not in _RESULT_ROLES:
        return []
    content = message.get("content")
    return [part for part in content if not _is_text(part)] if isinstance(content, list | tuple) else []


def _is_text(part: Any) -> bool:
    return not isinstance(part, Mapping) or part.get("type", "text") == "text"


def _text(message: Message) -> str:
    texts = [part if isinstance(part, str) else part.get("text") for part in message["content"] if _is_text(part)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _label(message: Message, call: Mapping[str, Any]) -> str:
    """Return the text that says to which call the media belong: its id, and its name, as chat templates omit ids."""
    name = (call.get("function") or {}).get("name") or message.get("name")
    id = message.get("tool_call_id")
    what = f"tool {name}" if name else "tool call"
    return f"Result of the {what}{f' ({id})' if id and name else f' {id}' if id else ''}:"


def _user_message(parts: Sequence[Part]) -> Message:
    return {"role": "user", "content": parts}


def _prepend(parts: Sequence[Part], message: Message) -> Message:
    """Return the user's message with these parts before its own."""
    content = message.get("content")
    own = content if isinstance(content, list | tuple) else [{"type": "text", "text": content}] if content else []
    return {**message, "content": [*parts, *own]}
