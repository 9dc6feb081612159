"""Structured output: JSON by `response_format`, by vLLM's parameters, or by a schema in the prompt."""

import json
import re
from typing import Any

from mdstream_core.emulator.model._request import Json, ParsedRequest, find_objects
from mdstream_core.emulator.model._schema_filling import SchemaFiller

_KEYS = re.compile(r"['\"`](\w+)['\"`]")
_JSON_REQUESTED = re.compile(r"\bJSON\b")


def find_requested_schema(parsed_request: ParsedRequest) -> Any:
    """Return the schema that the output has to follow; `None` if it is free text."""
    request = parsed_request.request
    response_format = request.get("response_format") or {}
    vllm = request.get("structured_outputs") or {}
    openai_schema = (response_format.get("json_schema") or {}).get("schema") or response_format.get("value")
    schema = openai_schema or vllm.get("json") or request.get("guided_json") or request.get("json_schema")
    if isinstance(schema, str):
        schema = json.loads(schema)
    if schema is None and (response_format.get("type") == "json_object" or vllm.get("json_object")):
        schema = (
            _schema_in_prompt(parsed_request)
            or _keys_in_prompt(parsed_request.text)
            or {"properties": {"answer": {"type": "string"}}}
        )
    return schema


def fill_requested_schema(request: ParsedRequest, written_text: str) -> str | None:
    """Return the JSON text; `None` if the output is free text. `written_text` is that free text."""
    choices = (request.request.get("structured_outputs") or {}).get("choice") or request.request.get("guided_choice")
    if choices:
        return str(SchemaFiller(request.text, {}).value("choice", {"enum": choices}))
    schema = find_requested_schema(request) or _schema_for_json_prompt(request)
    if schema is None:
        return None
    text = "\n".join([request.text, *request.results])
    filler = SchemaFiller(_without_objects(text), schema, written_text)
    return json.dumps(filler.value("", schema), ensure_ascii=False)


def _schema_in_prompt(parsed_request: ParsedRequest) -> Json | None:
    """Find a JSON Schema in the prompt, as output parsers write it there."""
    objects = (item for text in (parsed_request.system, parsed_request.text) for item in find_objects(text))
    return next((item for item in objects if isinstance(item.get("properties"), dict)), None)


def _schema_for_json_prompt(parsed_request: ParsedRequest) -> Json | None:
    if parsed_request.request.get("tools") or not _JSON_REQUESTED.search(parsed_request.system + parsed_request.text):
        return None
    schema = _schema_in_prompt(parsed_request)
    # An output parser's prompt has an example schema first and its own last.
    objects = [item for item in find_objects(parsed_request.text) if isinstance(item.get("properties"), dict)]
    return objects[-1] if objects else schema


def _keys_in_prompt(text: str) -> Json | None:
    names = dict.fromkeys(_KEYS.findall(text))
    return (
        {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names)}
        if names
        else None
    )


def _without_objects(text: str) -> str:
    """Remove the JSON from a text: values are not taken from a schema."""
    for item in find_objects(text):
        if "properties" in item:
            return text.partition("{")[0]
    return text
