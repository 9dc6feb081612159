"""Huawei Cloud ModelArts: a real-time service over HTTPS and WebSocket, MaaS, and IAM, which gives out the tokens.

`/v1/infers/{id}` with the container's path behind it, `/maas/v1/…` (also `/v2`), `POST /v3/auth/tokens`. Each scheme of
authentication is verified where the emulator was given a `HuaweiAccount`. Refusals are written in Huawei's envelope.

`Fault("refuse", …)` has the spellings of `MODELARTS_REFUSALS`. Over a WebSocket a fault strikes the messages: `cut`,
`reset`, `stall`, `hold`, `huge_line`, `error_event` and their kin do what they do elsewhere, `keepalive_comments` sends
pings, `bytewise` sends fragments, `trailer` closes with 1011, `Fault("trailer", name="close", data=b"1013 later")` with
the code in its data; `refuse`, `drop`, `slow_head` and `raw` befall the handshake.
"""

from collections.abc import Callable
from itertools import count
from time import time

from mdstream_core import _json
from mdstream_core.emulator._plan import Plan
from mdstream_core.emulator._received import Received
from mdstream_core.emulator._switch import Switch
from mdstream_core.emulator.container import Server, Unreachable
from mdstream_core.emulator.faults.refusals import REFUSALS, Refusal
from mdstream_core.emulator.services._modelarts_account import Gate, HuaweiAccount, Refused
from mdstream_core.errors import MissingExtra

SERVICE_ID = "8e1bb6be-1111-2222-3333-abcdefabcdef"
LIMIT = 12 * 1024 * 1024  # bytes that API Gateway takes

_INFERS, _MAAS, _IAM = "/v1/infers/", "/maas/", "/v3/auth/tokens"


class _Refusal(Refusal):
    """With the gateway's request id."""

    def plan(self) -> Plan:
        return Refusal.plan(self).with_headers(("X-Request-Id", "0" * 31 + "f"))


def _refusal(status: int, code: str, message: str) -> Refusal:
    return _Refusal(status, {"error_code": code, "error_msg": message})


MODELARTS_REFUSALS: dict[str, Refusal] = {
    "modelarts_body": _refusal(413, "ModelArts.4104", "The request body exceeds the limit of the service"),
    "modelarts_gone": _refusal(400, "ModelArts.4203", "The service is unavailable"),
    "modelarts_timeout": _refusal(504, "ModelArts.4205", "Connection timed out"),
    "modelarts_traffic": _refusal(429, "ModelArts.4206", "The request traffic exceeds the API threshold"),
    "modelarts_quota": _refusal(401, "ModelArts.4207", "The free quota has been used up"),
    "modelarts_gateway": _refusal(500, "ModelArts.4302", "Gateway forwarding error: self protection"),
    "modelarts_backend": _refusal(502, "ModelArts.4503", "Failed to find the backend service"),
    "modelarts_key": _refusal(400, "ModelArts.4905", "The API key is incorrect or missing"),
    "apig_throttled": _refusal(429, "APIG.0308", "The throttling threshold has been reached"),
    "apig_backend": _refusal(504, "APIG.0203", "Backend timeout"),
    "maas_parameter": _refusal(400, "ModelArts.81001", "Invalid request parameter"),
    "maas_risk": _refusal(403, "ModelArts.81011", "May contain sensitive information"),
    "maas_model": _refusal(404, "ModelArts.81009", "Invalid model"),
    "maas_rpm": _refusal(429, "ModelArts.81101", "Requests per minute exceeded"),
    "maas_camel": _Refusal(429, {"error": {"errorCode": "ModelArts.81103", "errorMsg": "Tokens per minute exceeded"}}),
}
REFUSALS.update(MODELARTS_REFUSALS)


def _maas(plan: Plan) -> Plan:
    """The container's answer; what it says of a parameter stands in MaaS's own envelope."""
    if plan.status not in {400, 422}:
        return plan
    try:
        body = _json.loads(b"".join(plan.bytes))
    except ValueError:  # an upstream's page
        return plan
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message", error) if isinstance(error, dict) else error
    return _refusal(400, "ModelArts.81001", f"Invalid request parameter: {message}").plan()


def _unavailable(error: Unreachable) -> Plan:
    return _refusal(503, "ModelArts.4503", str(error)).plan()


class ModelArtsService:
    """The gateway, MaaS and IAM before one container."""

    def __init__(
        self, container: Server, account: HuaweiAccount | None = None, now: Callable[[], float] = time
    ) -> None:
        self._container = container
        self._ids = count(1)
        self.gate = Gate(account, now)

    def owns(self, path: str) -> bool:
        """Whether a path is meant for ModelArts."""
        return path.startswith((_INFERS, _MAAS, _IAM))

    async def answer(self, received: Received) -> Plan:
        """The cloud's answer, with its request id."""
        try:
            plan = await self._judged(received)
        except Refused as refused:
            plan = _refusal(refused.status, refused.code, refused.message).plan()
        except Unreachable as error:
            plan = _unavailable(error)
        return plan.with_headers(("X-Request-Id", f"{next(self._ids):032x}"))

    async def _judged(self, received: Received) -> Plan:
        if received.path == _IAM:
            return self.gate.token(received)
        if (received.length or 0) > LIMIT:
            raise Refused("APIG.0201", "Request entity too large", 413)
        if received.path.startswith(_MAAS):
            self.gate.check_maas(received)
            _, _, rest = received.path.removeprefix(_MAAS).partition("/")
            return _maas(await self._container.answer(received.method, f"/v1/{rest}", received.body))
        id, _, rest = received.path.removeprefix(_INFERS).partition("/")
        if id != SERVICE_ID:
            raise Refused("APIG.0101", "The API does not exist or has not been published in the environment", 404)
        self.gate.check(received)
        if received.headers.get("upgrade", "").lower() == "websocket":
            await self._container.check_reachable()  # a gateway shakes hands with the server first
            return self._switch(received, f"/{rest}")
        plan = await self._container.answer(received.method, f"/{rest}", received.body)
        if plan.framing != "chunked":
            return plan
        return plan.with_headers(("content-type", "text/event-stream;charset=UTF-8"))

    def _switch(self, received: Received, path: str) -> Plan:
        """From here on a WebSocket, whose messages go to the container's route."""
        try:
            from mdstream_core.emulator.services._modelarts_socket import converse  # noqa: PLC0415 (who needs it)
        except ImportError:
            raise MissingExtra("websockets", "emulator") from None

        async def ask(message: bytes) -> Plan:
            try:
                return await self._container.answer("POST", path, message)
            except Unreachable as error:
                return _unavailable(error)

        return Switch(status=101, talk=lambda link, plan: converse(link, received, plan, ask))


__all__ = ["LIMIT", "MODELARTS_REFUSALS", "SERVICE_ID", "HuaweiAccount", "ModelArtsService"]
