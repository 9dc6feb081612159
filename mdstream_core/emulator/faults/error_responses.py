"""The error responses that are documented for model deployments, and those of the model servers behind them."""

from dataclasses import dataclass
from typing import Any

from mdstream_core.emulator._response_plan import ResponsePlan, json_plan


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error response as a value: status, body, content type."""

    status: int
    body: Any
    content_type: str = "application/json"

    def build_response(self) -> ResponsePlan:
        """Build the plan of the response."""
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return json_plan(self.status, body).with_headers(("content-type", self.content_type))


def oci_error(status: int, code: str, message: str) -> ErrorResponse:
    """Build an error response in OCI's format: `{"code", "message"}`."""
    return ErrorResponse(status, {"code": code, "message": message})


def oci_error_response(status: int, code: str, message: str) -> ResponsePlan:
    """Build the plan of an error response in OCI's format."""
    return oci_error(status, code, message).build_response()


def _vllm_error(status: int, message: str, kind: str, param: str | None = None) -> ErrorResponse:
    return ErrorResponse(status, {"error": {"message": message, "type": kind, "param": param, "code": status}})


_VLLM_TOO_LONG = (
    "This model's maximum context length is 2048 tokens. However, you requested 4096 tokens "
    "(4000 in the messages, 96 in the completion). Please reduce the length of the messages or completion."
)
_NO_TOOLS = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
_BANDWIDTH = "LB bandwidth limit exceeded. Consider increasing the provisioned load balancer bandwidth."
_NOT_AUTHENTICATED = "The required information to complete authentication was not provided or was incorrect."
_TGI_LONG = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048"
_LLAMA_LONG = {
    "code": 400,
    "message": "the request exceeds the available context size",
    "type": "exceed_context_size_error",
}
_LLAMA_ERROR = {"message": "1 validation error", "type": "internal_server_error", "param": None, "code": None}
_VLLM_OLD = {"object": "error", "message": _VLLM_TOO_LONG, "type": "BadRequestError", "param": None, "code": 400}

ERROR_RESPONSES: dict[str, ErrorResponse] = {
    # the service
    "cannot_parse": oci_error(400, "CannotParseRequest", "The request is incorrectly formatted."),
    "invalid_parameter": oci_error(400, "InvalidParameter", "A parameter is invalid."),
    "missing_parameter": oci_error(400, "MissingParameter", "A required parameter is missing."),
    "not_authenticated": oci_error(401, "NotAuthenticated", _NOT_AUTHENTICATED),
    "not_allowed": oci_error(403, "NotAllowed", "An attempt was made to access a resource that is not allowed."),
    "not_found": oci_error(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found."),
    "method_not_allowed": oci_error(405, "MethodNotAllowed", "The target resource does not support the HTTP method."),
    "not_a_stream": oci_error(409, "ExternalServerIncorrectState", "The model server's response is not a stream."),
    "length_required": oci_error(411, "LengthRequired", "Content-Length header is required."),
    "too_large": oci_error(413, "PayloadTooLarge", "Request body exceeds the limit of 10 MB."),
    "lb_bandwidth": oci_error(429, "TooManyRequests", _BANDWIDTH),
    "tenancy_rate": oci_error(429, "TooManyRequests", "Tenancy request-rate limit exceeded."),
    "internal": oci_error(500, "InternalServerError", "Internal Server Error"),
    "unavailable": oci_error(503, "ServiceUnavailable", "The service is currently unavailable."),
    # a load balancer's HTML page, or an empty body
    "bad_gateway": ErrorResponse(502, "<html><head><title>502 Bad Gateway</title></head></html>", "text/html"),
    "gateway_timeout": ErrorResponse(504, "<html><head><title>504 Gateway Time-out</title></head></html>", "text/html"),
    "empty_500": ErrorResponse(500, "", "text/plain"),
    # the model server
    "vllm_too_long": _vllm_error(400, _VLLM_TOO_LONG, "BadRequestError"),
    "vllm_tools": _vllm_error(400, _NO_TOOLS, "BadRequestError"),
    "vllm_model": _vllm_error(404, "The model `nope` does not exist.", "NotFoundError", "model"),
    "vllm_old": ErrorResponse(400, _VLLM_OLD),
    "tgi_validation": ErrorResponse(422, {"error": _TGI_LONG, "error_type": "validation"}),
    "tgi_overloaded": ErrorResponse(429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    "tgi_generation": ErrorResponse(424, {"error": "Request failed during generation", "error_type": "generation"}),
    "llamacpp_too_long": ErrorResponse(400, {"error": _LLAMA_LONG}),
    "llamacpp_internal": ErrorResponse(500, {"error": _LLAMA_ERROR}),
    "fastapi_detail": ErrorResponse(422, {"detail": "Unexpected fields in the request: {'nope'}"}),
    "lmi_error": ErrorResponse(424, {"error": "prediction failure", "code": 424}),
}
"""Spelling of `refuse` to its error response."""
