"""Failures that a stream of OpenAI's Responses API reports. Source: `openai` SDK 3.52 (`ResponseError`)."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._choice_decoder import build_stream_failure, is_error
from mdstream_core.errors import ErrorBody, StreamFailure, parse_error_object, quote_payload

#: Error codes after which the same request fails again.
_FINAL_CODES = frozenset(
    "invalid_prompt invalid_image invalid_image_format invalid_base64_image invalid_image_url image_too_large "
    "image_too_small image_parse_error image_content_policy_violation invalid_image_mode image_file_too_large "
    "unsupported_image_media_type empty_image_file image_file_not_found cancelled".split()
)

#: Fields of an error event that are no part of the error.
_EVENT_FIELDS = frozenset({"type", "sequence_number"})


def build_response_failure(response: Mapping[str, Any], status: str, data: bytes) -> StreamFailure:
    """Build the failure of a response with the status `failed` or `cancelled`."""
    if is_error(response.get("error")):
        return build_failure({"error": response["error"]}, data)
    return build_failure({"code": status, "message": f"the response has the status {status!r}"}, data)


def build_failure(payload: Mapping[str, Any], data: bytes) -> StreamFailure:
    """Build the failure of an error event, or of an event with an error object."""
    error = payload.get("error")
    fields = {"error": error} if is_error(error) else {k: v for k, v in payload.items() if k not in _EVENT_FIELDS}
    body = parse_error_object(fields) or ErrorBody(quote_payload(data))
    failure = build_stream_failure(body, quote_payload(data, 2000))
    failure.retryable = failure.retryable and body.code not in _FINAL_CODES
    return failure


def is_flat_error(payload: Mapping[str, Any]) -> bool:
    """Return whether an object is an error itself, as SGLang and old vLLM write it: its `type` is that of the error."""
    return payload.get("object") == "error" or ("message" in payload and "code" in payload)
