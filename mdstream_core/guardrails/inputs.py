"""The texts of a request that guardrails check, and the request with other texts in their places."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core.guardrails.violations import TextLocation

#: Where the texts of a message come from, by its role. Other messages are the application's or the model's own.
_LOCATIONS: Mapping[str, TextLocation] = {"user": "input", "tool": "tool result", "function": "tool result"}

#: Dialects with messages or a prompt that generate nothing.
_NOT_GENERATING = frozenset({"tokenize"})


@dataclass(frozen=True, slots=True)
class InputText:
    """A text of a request, and its place in the parameters."""

    text: str
    location: TextLocation
    path: tuple[str | int, ...]


def is_generation(params: Mapping[str, Any], dialect_name: str) -> bool:
    """Whether a request generates text, so that guardrails apply to it."""
    return dialect_name not in _NOT_GENERATING and ("messages" in params or "prompt" in params)


def find_input_texts(params: Mapping[str, Any], *, whole_conversation: bool) -> list[InputText]:
    """List the texts of a request that come from users and tools.

    Args:
        params: Parameters of the request in the OpenAI JSON shape.
        whole_conversation: Whether to list those before the model's last response too.
    """
    messages = params.get("messages") or ()
    responses = [index for index, message in enumerate(messages) if message.get("role") == "assistant"]
    start = responses[-1] + 1 if responses and not whole_conversation else 0
    found = [
        InputText(text, _LOCATIONS[role], ("messages", index, "content", *path))
        for index, message in enumerate(messages)
        if index >= start and (role := str(message.get("role"))) in _LOCATIONS
        for path, text in _texts(message.get("content"))
    ]
    return found + [InputText(text, "input", ("prompt", *path)) for path, text in _texts(params.get("prompt"))]


def replace_texts(params: Mapping[str, Any], texts: Iterable[tuple[InputText, str]]) -> dict[str, Any]:
    """Return the parameters with other texts; the original ones are not changed.

    >>> slot = InputText("a@b.org", "input", ("prompt",))
    >>> replace_texts({"prompt": "a@b.org", "n": 1}, [(slot, "[REDACTED_EMAIL]")])
    {'prompt': '[REDACTED_EMAIL]', 'n': 1}
    """
    result: Any = params
    for slot, text in texts:
        result = replace_at(result, slot.path, text)
    return dict(result)


def content_texts(content: Any) -> list[str]:
    """Return the texts of a message's content, a string or a list of parts.

    >>> content_texts([{"type": "text", "text": "Hello"}, {"type": "image_url"}])
    ['Hello']
    """
    return [text for _, text in _texts(content)]


def replace_content_texts(content: Any, texts: Iterable[str]) -> Any:
    """Return a message's content with other texts, in the order of `content_texts`.

    >>> replace_content_texts([{"type": "text", "text": "a@b.org"}], ["[REDACTED_EMAIL]"])
    [{'type': 'text', 'text': '[REDACTED_EMAIL]'}]
    """
    for (path, _), text in zip(list(_texts(content)), texts, strict=True):
        content = replace_at(content, path, text)
    return content


def _texts(content: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the texts of a message's content or of a prompt, each with its path."""
    if isinstance(content, str):
        yield (), content
    elif isinstance(content, list):
        for index, part in enumerate(content):
            if isinstance(part, str):
                yield (index,), part
            elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield (index, "text"), part["text"]


def replace_at(value: Any, path: tuple[str | int, ...], text: str) -> Any:
    """Return a JSON value with another text at a path; the original is not changed."""
    if not path:
        return text
    name, *rest = path
    if isinstance(value, Mapping):
        return {**value, name: replace_at(value[name], tuple(rest), text)}
    return [replace_at(item, tuple(rest), text) if index == name else item for index, item in enumerate(value)]
