"""Parts of other providers' formats in a conversation: left out of a model's message, rejected in anybody else's."""

import json
import warnings
from typing import Any

import pytest

from mdstream_core import dialect
from mdstream_core.errors import InvalidRequest

#: The formats that have fields of their own for messages, or one text for all of them.
FORMATS = ("oci-generic", "oci-cohere", "oci-cohere-v2", "openai-responses", "tgi", "lmi")

TEXT = {"type": "text", "text": "It is 20 degrees."}

FOREIGN: dict[str, list[Any]] = {
    "thinking in parts": [{"type": "thought", "thought": "hm"}],
    "reasoning": [{"type": "reasoning", "reasoning": "hm"}, {"type": "reasoning_content"}],
    "server tools": [{"type": "server_tool_use", "id": "1"}, {"type": "web_search_tool_result", "content": []}],
    "code": [{"type": "executable_code", "executable_code": "1"}],
    "a text that is none": [{"type": "text", "text": None}, {"type": "text"}, {}],
    "no part": [None, 1],
}


def _request(name: str, content: Any, role: str = "assistant") -> str:
    messages = [{"role": "user", "content": "weather?"}, {"role": role, "content": content}]
    params = {"model": "m", "messages": [*messages, {"role": "user", "content": "and now?"}]}
    return json.dumps(dialect(name).build_payload(params, stream=False), ensure_ascii=False)


@pytest.mark.parametrize("parts", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("name", FORMATS)
def test_unsupported_parts_of_assistant_messages_are_dropped(name: str, parts: list[Any]) -> None:
    """The request equals the one without them; text is kept in any part."""
    bare = _request(name, [TEXT])
    for text in (TEXT, TEXT["text"], {**TEXT, "type": "output_text"}, {"type": "refusal", "refusal": TEXT["text"]}):
        assert bare == _request(name, [*parts, text]) == _request(name, [text, *parts])
    assert TEXT["text"] in bare


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {"oci-generic", "oci-cohere-v2"}])
def test_unsupported_media_of_assistant_messages_is_dropped_with_a_warning(name: str) -> None:
    """If the format does not support it."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}
    with pytest.warns(RuntimeWarning, match="'image_url'.* not sent"):
        assert _request(name, [TEXT]) == _request(name, [TEXT, picture])


@pytest.mark.parametrize("name", ["oci-generic", "oci-cohere-v2"])
def test_supported_media_of_assistant_messages_is_sent(name: str) -> None:
    """Without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "QQ==" in _request(
            name, [TEXT, {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}]
        )


@pytest.mark.parametrize("role", ["user", "system", "tool"])
@pytest.mark.parametrize("name", ["oci-generic", "oci-cohere", "oci-cohere-v2", "tgi"])
def test_unsupported_parts_of_other_messages_are_rejected(name: str, role: str) -> None:
    """Nothing is dropped silently from user, system or tool messages."""
    with pytest.raises(InvalidRequest):
        _request(name, [TEXT, {"type": "hologram"}], role)


@pytest.mark.parametrize("name", FORMATS)
def test_a_message_of_unsupported_parts_only_can_be_sent(name: str) -> None:
    """The message keeps its position in the conversation."""
    assert _request(name, "") == _request(name, FOREIGN["server tools"])
