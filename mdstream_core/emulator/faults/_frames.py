"""Faults of SageMaker's event stream, and its error responses; the other faults apply to the payloads inside it."""

from collections.abc import Iterator
from dataclasses import replace

from mdstream_core.emulator._event_stream import EXCEPTIONS, EncodedFrame, encode_exception, encode_part
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan
from mdstream_core.emulator.faults._fault import Fault

#: Spellings of `exception_frame` and of `damaged_frame`.
FRAMES = (*EXCEPTIONS, "error")
DAMAGES = ("message", "prelude")

_LOG = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/emulated"


def model_error_response(status: int, message: str) -> ResponsePlan:
    """Build SageMaker's response for an error response of the container."""
    side = "client" if 400 <= status < 500 else "server"
    summary = f'Received {side} error ({status}) from primary with message "{message}".'
    body = {"Message": summary, "OriginalStatusCode": status, "OriginalMessage": message, "LogStreamArn": _LOG}
    return aws_error_response(424, "ModelError", {"ErrorCode": f"{side.upper()}_ERROR_FROM_MODEL", **body})


def aws_error_response(status: int, code: str, body: object) -> ResponsePlan:
    """Build an AWS error response: the code in a header, `Message` in the body."""
    document = {"Message": body} if isinstance(body, str) else body
    return json_plan(status, document, ("x-amzn-ErrorType", code))


_TOO_LONG = (
    '{"error":{"message":"This model\'s maximum context length is 2048 tokens. However, your request has 4000 input '
    'tokens.","type":"BadRequestError","param":"input_tokens","code":400}}'
)

AWS_ERROR_RESPONSES: dict[str, ResponsePlan] = {
    "ValidationError": aws_error_response(400, "ValidationError", "1 validation error detected"),
    "not_found": aws_error_response(400, "ValidationError", "Endpoint nope of account 123456789012 not found."),
    "ThrottlingException": aws_error_response(400, "ThrottlingException", "Rate exceeded"),
    "AccessDeniedException": aws_error_response(
        403, "AccessDeniedException", "User is not authorized to perform: sagemaker:InvokeEndpoint"
    ),
    "ExpiredTokenException": aws_error_response(
        403, "ExpiredTokenException", "The security token included in the request is expired"
    ),
    "ModelNotReadyException": aws_error_response(429, "ModelNotReadyException", "Model is not ready for inference"),
    "InternalFailure": aws_error_response(500, "InternalFailure", "An internal failure"),
    "ServiceUnavailable": aws_error_response(503, "ServiceUnavailable", "Service unavailable"),
    "InternalDependencyException": aws_error_response(530, "InternalDependencyException", "A dependency failed"),
    "model_422": model_error_response(422, '{"error":"Input validation error: `temperature` must be strictly positive",'
                                  '"error_type":"validation"}'),
    "model_429": model_error_response(429, '{"error":"Model is overloaded","error_type":"overloaded"}'),
    "model_500": model_error_response(500, '{"error":{"message":"engine died",'
                                       '"type":"InternalServerError","code":500}}'),
    "model_too_long": model_error_response(400, _TOO_LONG),
    "model_timeout": model_error_response(
        0, "Your invocation timed out while waiting for a response from container primary."
    ),
}  # fmt: skip


def refuse_aws(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send an AWS error response: a row of `AWS_ERROR_RESPONSES` (default `InternalFailure`)."""
    id = next((field for field in plan.headers if field[0].lower() == "x-amzn-requestid"), ("x-amzn-RequestId", "0"))
    response = AWS_ERROR_RESPONSES[fault.spelling or "InternalFailure"].with_headers(id)
    return response if fault.retry_after is None else response.with_headers(("Retry-After", fault.retry_after))


def exception_frame(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """End the event stream with an exception or error frame (one of `FRAMES`), by default after two events."""
    after = 2 if fault.after is None else fault.after
    return replace(plan, chunks=[*plan.all_chunks[:after], encode_exception(fault.spelling or "StreamBroken")])


def damaged_frame(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send a frame with a wrong checksum, that of the `message` (default) or of its `prelude`, then the rest."""
    after = 1 if fault.after is None else fault.after
    frames = [encode_part(chunk) for chunk in plan.body_chunks]
    position = 8 if fault.spelling == "prelude" else len(frames[after]) - 1
    frame = frames[after]
    frame = frame[:position] + bytes([frame[position] ^ 1]) + frame[position + 1 :]
    return replace(plan, chunks=[*plan.body_chunks[:after], EncodedFrame(frame), *plan.body_chunks[after + 1 :]])


def partial_frame(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """End the HTTP body properly in the middle of a frame; the client sees a complete body with an incomplete frame."""
    after = 1 if fault.after is None else fault.after
    frame = encode_part(plan.body_chunks[after])
    return replace(plan, chunks=[*plan.body_chunks[:after], EncodedFrame(frame[: fault.size or len(frame) // 2])])


def split_frames(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send `size` bytes (default 1) in each HTTP chunk and each write, so that frames are split and merged."""
    body = b"".join(encode_part(chunk) for chunk in plan.body_chunks)
    return replace(plan, chunks=list(_split(body, fault.size or 1)), flush_each=True)


def _split(body: bytes, size: int) -> Iterator[EncodedFrame]:
    return (EncodedFrame(body[position : position + size]) for position in range(0, len(body), size))
