"""Size of a prompt in tokens, and the part of it that a prefix cache contains."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from mdstream_core.emulator._bounds import MAX_MEMORY_CHARACTERS
from mdstream_core.emulator.model import split_tokens

_IMAGE, _FILE, _AUDIO = 256, 200, 50  # tokens of a part
_COST = {"image_url": _IMAGE, "image": _IMAGE, "file": _FILE, "document": _FILE}
_BLOCK = 16  # vLLM caches prefixes in blocks of this many tokens
_MAX_CACHED = 64  # prompts that are stored
_MAX_COUNTED = 262_144  # characters whose tokens are counted; the rest is extrapolated


def iter_texts(content: Any) -> Iterator[str]:
    """Yield every text of a message's content, which is a string or a list of parts."""
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
    """Yield every part of every message."""
    for message in request.get("messages") or ():
        content = message.get("content")
        yield from (part for part in (content if isinstance(content, list) else ()) if isinstance(part, dict))


def count_audio_tokens(request: dict[str, Any]) -> int | None:
    """Return the number of audio tokens of a prompt; `None` without audio."""
    audio_count = sum(part.get("type") in {"input_audio", "audio_url", "audio"} for part in iter_parts(request))
    return audio_count * _AUDIO if audio_count else None


def build_prompt_text(request: dict[str, Any]) -> str:
    """Build the text that a model would receive."""
    messages = request.get("messages")
    if messages is None:
        prompt = request.get("prompt") or request.get("input") or ""
        return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
    texts = (f"<{message.get('role')}>{' '.join(iter_texts(message.get('content')))}" for message in messages)
    return "".join(texts) + "".join(str(tool) for tool in request.get("tools") or ())


def count_prompt_tokens(request: dict[str, Any]) -> int:
    """Return the number of tokens of a prompt, images and audio included."""
    media_tokens = sum(_COST.get(str(part.get("type")), 0) for part in iter_parts(request))
    return count_tokens(build_prompt_text(request)) + media_tokens + (count_audio_tokens(request) or 0)


def count_tokens(text: str) -> int:
    """Return the number of tokens of a text; that of a very long text is extrapolated from its beginning."""
    count = len(split_tokens(text[:_MAX_COUNTED]))
    return count if len(text) <= _MAX_COUNTED else count * len(text) // _MAX_COUNTED


def _common_prefix_length(first: str, second: str) -> int:
    """Return the number of characters that two texts have in common at the beginning."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first.startswith(second[low:middle], low) else (low, middle - 1)
    return low


class PrefixCache:
    """A prefix cache, as in vLLM, of prompts."""

    def __init__(self) -> None:
        self._prompts: deque[str] = deque(maxlen=_MAX_CACHED)

    def count_cached(self, prompt: str) -> int:
        """Return how many tokens of the prompt are cached; add it to the cache."""
        prompt = prompt[:MAX_MEMORY_CHARACTERS]
        common = max((_common_prefix_length(prompt, earlier) for earlier in self._prompts), default=0)
        self._prompts.append(prompt)
        return len(split_tokens(prompt[:common])) // _BLOCK * _BLOCK
