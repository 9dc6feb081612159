"""Huawei Cloud ModelArts: real-time services, old and new generation, and MaaS (ModelArts Studio).

A real-time service passes requests on to its image, most often vLLM or vLLM-Ascend, under the address that the console
shows; the image's path stands behind it. The same service may be reached over HTTPS (answers as server-sent events) or,
where it was deployed so, over WebSocket; through the public gateway or a VPC channel; each with any authentication.
MaaS is the same format under a base of its own. Errors of the gateway have Huawei's envelope, those of the image are
passed through.

Sources: usermanual-standard-modelarts 0023, 0105, 0106, 0124; inference2.0 0007, 0013, 0014; the MaaS guide;
`huaweicloudsdkcore` 3.1.219 (exception_handler.py).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core._addresses import check_url
from mdstream_core.errors import ErrorBody, ServiceError, error_class_for_status, parse_error_body, parse_error_object
from mdstream_core.http import DEFAULT_TIMEOUT, Request, ResponseHead, Timeout, check_query, check_route
from mdstream_core.platforms._modelarts_errors import CODES, STATUSES
from mdstream_core.platforms._platform import (
    SIDE_ROUTES,
    USER_AGENT,
    Trailers,
    build_service_error,
    create_frame_decoder,
)
from mdstream_core.wire import FrameDecoder
from mdstream_core.wire.websocket_messages import CONTENT_TYPE, MessageDecoder

#: The largest request body that its gateway takes with a signature, in bytes (`huaweicloudsdkcore`'s documentation).
MAX_REQUEST_BYTES = 12 * 1024 * 1024

_SCHEMES = ("https", "http", "wss", "ws")
_NO_ENDPOINT = (
    "is no URL of a service: give the address that the console shows, such as "
    "https://infer-modelarts-<region>.modelarts-infer.com/v1/infers/<id>, or wss://… for a WebSocket service, "
    "or https://api.modelarts-maas.com/v1 for MaaS"
)
_VERSION = re.compile(r"/v[0-9]+$")
_PATH = re.compile(r"/((chat/)?completions|embeddings|rerank)$")
_CODE = re.compile(r"[A-Za-z]+\.\d+")

#: How the envelope is spelled: the names of code and message (exception_handler.py; one level down too).
_ERROR_FIELDS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))

#: API Gateway, in front of real-time services, allows a prediction 40 to 60 s (inference-modelarts-0105, trouble 0221).
_GATEWAY_TIMEOUT = replace(DEFAULT_TIMEOUT, read=65.0, total=330.0)
_GATEWAY = re.compile(r"/v[0-9]+/infers/|\.apigw?\.")

#: A VPC channel, inference 2.0 (where each service has its own limit) and MaaS: none is documented. A whole response
#: has the 600 s of the `openai` SDK, with which MaaS is documented; a stream goes on while it says something.
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=600.0, total=630.0)
_STREAM_TIMEOUT = replace(DEFAULT_TIMEOUT, read=240.0, total=3600.0)


@dataclass(frozen=True, slots=True)
class ModelArts:
    """One service.

    Args:
        endpoint: The address that the console shows (`https://infer-modelarts-<region>.modelarts-infer.com/v1/infers/<id>`,
            a gateway's or a VPC channel's `http://<ip>:<port>`), or an OpenAI base that ends with its version (MaaS:
            `https://api.modelarts-maas.com/v1`), or the whole URL of a route. With `wss://` the service is asked over a
            WebSocket.
        route: The image's path behind the address. `None` takes the one of the dialect; `""` none at all.

    Example:
        >>> ModelArts("https://h/v1/infers/8e1b").build_url("/v1/chat/completions")
        'https://h/v1/infers/8e1b/v1/chat/completions'
        >>> ModelArts("https://api.modelarts-maas.com/v2").build_url("/v1/chat/completions")
        'https://api.modelarts-maas.com/v2/chat/completions'
    """

    endpoint: str
    route: str | None = None
    base_url: str = field(init=False, default="")
    query: str = field(init=False, default="")

    name: ClassVar[str] = "modelarts"
    reports_failure_after_body: ClassVar[bool] = (
        True  # the usage comes after the finish, and a close code after everything
    )
    has_trailers: ClassVar[bool] = False
    drain_timeout: ClassVar[float] = 10.0
    max_request_bytes: ClassVar[int | None] = MAX_REQUEST_BYTES

    def __post_init__(self) -> None:
        check_route("route", self.route)
        base, _, query = _validate_endpoint(self.endpoint.strip()).partition("?")
        object.__setattr__(self, "base_url", base.rstrip("/"))
        object.__setattr__(self, "query", query)

    @property
    def is_websocket(self) -> bool:
        """Whether the service is asked over a WebSocket."""
        return self.base_url.startswith("ws")

    def build_url(self, route: str) -> str:
        """Where `route` is."""
        if route in SIDE_ROUTES:
            base = _PATH.sub("", self.base_url)
            return f"{base}{_strip_version(route) if _VERSION.search(base) else route}"
        path = route if self.route is None else self.route
        if self.route is None and (self.base_url.endswith(path) or self.base_url.endswith(_strip_version(path))):
            path = ""
        elif _VERSION.search(self.base_url):
            path = _strip_version(path)
        slash = "/" if path and not path.startswith("/") else ""
        return f"{self.base_url}{slash}{path}" + (f"?{self.query}" if self.query else "")

    def default_timeout(self, *, stream: bool) -> Timeout:
        """Just above what API Gateway allows, or minutes where the address shows no gateway."""
        if _GATEWAY.search(self.base_url):
            return _GATEWAY_TIMEOUT
        return _STREAM_TIMEOUT if stream else _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as it is."""
        return body

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """A POST, or the handshake of a WebSocket whose first message is `content`."""
        given = {name.lower(): value for name, value in headers.items()}
        fields = {
            "accept": "text/event-stream, application/json" if stream else "application/json",
            "user-agent": USER_AGENT,
        }
        if self.is_websocket:
            return Request("GET", self.build_url(route), {**fields, **given}, content)
        fields |= {
            "accept-encoding": "gzip, deflate",
            "content-length": str(len(content)),
            "content-type": "application/json",
        }
        return Request("POST" if content else "GET", self.build_url(route), {**fields, **given}, content)

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Events, one document, or the messages of a WebSocket."""
        return MessageDecoder() if head.content_type == CONTENT_TYPE else create_frame_decoder(head)

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """Huawei's envelope, or the image's own words."""
        said = _parse_error_body(body)
        kind, hint = CODES.get(said.code or "", (error_class_for_status(head.status), STATUSES.get(head.status, "")))
        return build_service_error(head, body, said, kind, hint)

    def check_trailers(self, trailers: Trailers) -> None:
        """The service has no trailers; a close code is read by `create_frame_decoder`."""

    def request_id(self, head: ResponseHead) -> str | None:
        """`X-Request-Id`."""
        return head.headers.get("x-request-id")


def _strip_version(path: str) -> str:
    return path.removeprefix("/v1")


def _parse_error_body(body: bytes) -> ErrorBody:
    """What the envelope says, or the image; the code of the envelope says more than one of the image in it."""
    said = parse_error_body(body)
    try:
        document: Any = _json.loads(body)
    except ValueError:
        return said
    inner, code = next(_envelopes(document), ({}, ""))
    if not code:
        return said
    found = parse_error_object(document) or parse_error_object(inner)
    return ErrorBody(found.message if found else said.message, code)


def _envelopes(document: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """The envelope and its code, at the top or one level down; a code of ours tells it from the image's own errors."""
    if not isinstance(document, dict):
        return
    for inner in (document, *(value for value in document.values() if isinstance(value, dict))):
        for code_name, message_name in _ERROR_FIELDS:
            code, message = inner.get(code_name), inner.get(message_name)
            if isinstance(code, str) and isinstance(message, str) and _CODE.fullmatch(code):
                yield inner, code


def _validate_endpoint(endpoint: str) -> str:
    parts = check_url("endpoint", endpoint, problem=_NO_ENDPOINT, schemes=_SCHEMES)
    check_query("endpoint", parts.query)
    if parts.fragment:
        shown = re.split("[?#]", endpoint)[0]  # a query may hold a key
        raise ValueError(f"endpoint={shown!r} {_NO_ENDPOINT}")
    return endpoint
