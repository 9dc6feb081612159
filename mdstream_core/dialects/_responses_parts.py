"""Content parts of the input of OpenAI's Responses API, and the results of tools.

The call decides the type of its result: that of a custom tool and that of a computer have types of their own. A message
may name it (`type`), for a call that only the service knows (`previous_response_id`).
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from mdstream_core.dialects._oci_requests import unsupported_part_error
from mdstream_core.errors import InvalidRequest

Json = dict[str, Any]

#: Types of results that a message may name.
RESULT_TYPES = frozenset({"function_call_output", "custom_tool_call_output", "computer_call_output"})


def build_tool_output(message: Mapping[str, Any], kind: str | None) -> Json:
    """Convert the result of a tool.

    Args:
        message: A tool message in the shape of chat completions; its `type` may name the type of the result.
        kind: The type by the call; `None` if the call is a function or unknown.

    Raises:
        InvalidRequest: The result of a computer call has no image.
    """
    named = message.get("type")
    kind = kind or (named if named in RESULT_TYPES else "function_call_output")
    content = message.get("content")
    output = content if isinstance(content, str) else [convert_part(part) for part in content or ()]
    item = {"type": kind, "call_id": message.get("tool_call_id"), "output": output or ""}
    if kind != "computer_call_output":
        return item
    checks = message.get("acknowledged_safety_checks")
    return {**item, "output": _screenshot(output), **({"acknowledged_safety_checks": checks} if checks else {})}


def _screenshot(output: str | list[Json]) -> Json:
    """Return the screenshot of a computer call's result: a URL, or the first image of its parts."""
    parts = [{"type": "input_image", "image_url": output}] if isinstance(output, str) else output
    images = [part for part in parts if part["type"] in _SCREENSHOTS]
    url = images[0].get("image_url") if images else None
    if not images or (url is not None and not str(url).startswith(("data:", "https:", "http:"))):
        raise InvalidRequest(
            "the result of a computer call is a screenshot, and this one has none (hint: return an image block, or the "
            "URL or data URI of an image as text)",
            code="InvalidParameter",
        )
    if len(parts) > 1:
        text = "the result of a computer call is one screenshot: its other parts cannot be sent and are left out"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    known = {name: value for name, value in images[0].items() if name in {"image_url", "file_id"} and value is not None}
    return {"type": "computer_screenshot", **known}


#: Types of parts that can be the screenshot of a computer.
_SCREENSHOTS = frozenset({"input_image", "computer_screenshot"})


def _image(part: Mapping[str, Any]) -> Json:
    image = part["image_url"] if isinstance(part["image_url"], Mapping) else {"url": part["image_url"]}
    return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}


def _document(part: Mapping[str, Any]) -> Json:
    document = part["document_url"]
    return {"type": "input_file", "file_url": document["url"] if isinstance(document, Mapping) else document}


_PARTS: Mapping[str, Callable[[Mapping[str, Any]], Json]] = {
    "text": lambda part: {"type": "input_text", "text": part["text"]},
    "image_url": _image,
    "file": lambda part: {"type": "input_file", **part["file"]},
    "document_url": _document,
    "input_audio": lambda part: {"type": "input_audio", "input_audio": part["input_audio"]},
    "input_text": dict,
    "input_image": dict,
    "input_file": dict,
    "computer_screenshot": dict,
}


def convert_part(part: Any) -> Json:
    """Convert a content part of a message or of a tool result."""
    part = {"type": "text", "text": part} if isinstance(part, str) else part
    convert = _PARTS.get(str(part.get("type")))
    if convert is None:
        raise unsupported_part_error(part, ", ".join(_PARTS))
    return convert(part)
