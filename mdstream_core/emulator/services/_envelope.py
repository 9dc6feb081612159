"""OCI's refusals: `{"code", "message"}` and an id."""

from mdstream_core.emulator._plan import Plan, json_plan


def refuse(status: int, code: str, message: str, *headers: tuple[str, str]) -> Plan:
    """OCI's error envelope."""
    return json_plan(status, {"code": code, "message": message}, *headers)
