"""The types of a request's fields, checked before anybody computes with them."""

from mdstream_core.emulator.container._errors import ContainerRefusal
from mdstream_core.emulator.container._flavours import Json

_NUMBER, _WHOLE = (int, float), (int,)
_FIELDS: dict[str, tuple[tuple[type, ...], str]] = {
    "messages": ((list,), "list"),
    "tools": ((list,), "list"),
    "documents": ((list,), "list"),
    "texts": ((list,), "list"),
    "stop": ((str, list), "string or list"),
    "temperature": (_NUMBER, "number"),
    "top_p": (_NUMBER, "number"),
    "max_tokens": (_WHOLE, "integer"),
    "max_completion_tokens": (_WHOLE, "integer"),
    "n": (_WHOLE, "integer"),
    "logprobs": ((bool, int), "boolean or integer"),
    "top_logprobs": (_WHOLE, "integer"),
    "dimensions": (_WHOLE, "integer"),
    "stream": ((bool,), "boolean"),
    "stream_options": ((dict,), "dictionary"),
    "response_format": ((dict,), "dictionary"),
    "structured_outputs": ((dict,), "dictionary"),
    "chat_template_kwargs": ((dict,), "dictionary"),
    "reasoning": ((dict,), "dictionary"),
    "parameters": ((dict,), "dictionary"),
    "tool_choice": ((str, dict), "string or dictionary"),
}
_LEAST = {"n": 1, "max_tokens": 1, "max_completion_tokens": 1, "temperature": 0, "top_logprobs": 0}


def checked(request: Json) -> Json:
    """The request; refused where a field is of another type or too small."""
    for name, (types, words) in _FIELDS.items():
        value = request.get(name)
        if value is not None and not isinstance(value, types):
            raise ContainerRefusal(400, f"{name}: Input should be a valid {words}", param=name)
    if not all(isinstance(message, dict) for message in request.get("messages") or ()):
        raise ContainerRefusal(400, "messages: Input should be a valid dictionary", param="messages")
    for name, least in _LEAST.items():
        if (request.get(name) or 0) < least and request.get(name) is not None:
            raise _too_small(name, request[name], least)
    return request


def _too_small(name: str, value: float, least: int) -> ContainerRefusal:
    rule = "must be non-negative" if least == 0 else f"must be at least {least}"
    value = float(value) if name == "temperature" else value
    return ContainerRefusal(400, f"{name} {rule}, got {value}. (parameter={name}, value={value})", param=name)
