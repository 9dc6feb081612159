"""How long a prompt is, and how much of it the server has seen before."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from mdstream_core.emulator._bounds import MAX_MEMORY_CHARACTERS
from mdstream_core.emulator.model import split_tokens

_IMAGE, _FILE, _AUDIO = 256, 200, 50  # tokens that a part costs
_COST = {"image_url": _IMAGE, "image": _IMAGE, "file": _FILE, "document": _FILE}
_BLOCK = 16  # vLLM caches prefixes in blocks of this many tokens
_MAX_CACHED = 64  # prompts that are remembered
_COUNTED = 262_144  # characters whose tokens are counted one by one


def iter_texts(content: Any) -> Iterator[str]:
    """Every text of a message's content, a string or a list of parts."""
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
        elif isinstance(part, dict) and part.get("type") == "tool_result":
            yield from iter_texts(part.get("content"))


def iter_parts(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every part of every message."""
    for message in request.get("messages") or ():
        content = message.get("content")
        yield from (part for part in (content if isinstance(content, list) else ()) if isinstance(part, dict))


def count_audio_tokens(request: dict[str, Any]) -> int | None:
    """What the sounds in a question cost, `None` where there are none."""
    sounds = sum(part.get("type") in {"input_audio", "audio_url", "audio"} for part in iter_parts(request))
    return sounds * _AUDIO if sounds else None


def build_prompt_text(request: dict[str, Any]) -> str:
    """What a model would be shown."""
    messages = request.get("messages")
    if messages is None:
        prompt = request.get("prompt") or request.get("input") or ""
        return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
    said = (f"<{message.get('role')}>{' '.join(iter_texts(message.get('content')))}" for message in messages)
    return "".join(said) + "".join(str(tool) for tool in request.get("tools") or ())


def count_prompt_tokens(request: dict[str, Any]) -> int:
    """How many tokens a prompt is, pictures and sounds included."""
    pictures = sum(_COST.get(str(part.get("type")), 0) for part in iter_parts(request))
    return count_tokens(build_prompt_text(request)) + pictures + (count_audio_tokens(request) or 0)


def count_tokens(text: str) -> int:
    """How many tokens a text is; counted for its beginning, and at the same rate for the rest of a very long one."""
    counted = len(split_tokens(text[:_COUNTED]))
    return counted if len(text) <= _COUNTED else counted * len(text) // _COUNTED


def _common_prefix_length(one: str, other: str) -> int:
    """How many characters two texts have in common at the beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one.startswith(other[low:middle], low) else (low, middle - 1)
    return low


class PrefixCache:
    """Remembers prompts, as a server with prefix caching does."""

    def __init__(self) -> None:
        self._prompts: deque[str] = deque(maxlen=_MAX_CACHED)

    def count_cached(self, prompt: str) -> int:
        """How many tokens of the prompt were known; remembers it."""
        prompt = prompt[:MAX_MEMORY_CHARACTERS]
        common = max((_common_prefix_length(prompt, seen) for seen in self._prompts), default=0)
        self._prompts.append(prompt)
        return len(split_tokens(prompt[:common])) // _BLOCK * _BLOCK
