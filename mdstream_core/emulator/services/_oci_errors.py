"""OCI's refusals: `{"code", "message"}` and an id."""

from mdstream_core.emulator._response_plan import ResponsePlan, json_plan


def error_response(status: int, code: str, message: str, *headers: tuple[str, str]) -> ResponsePlan:
    """OCI's error envelope."""
    return json_plan(status, {"code": code, "message": message}, *headers)
