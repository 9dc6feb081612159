"""Huawei Cloud ModelArts: real-time services, old and new generation, and MaaS (ModelArts Studio).

A real-time service forwards requests to its container image, most often vLLM or vLLM-Ascend; the image's path is
appended to the URL that the console shows. A service is reached over HTTPS (responses as server-sent events) or, if it
was deployed so, over WebSocket; through the public gateway or a VPC channel; with any authentication. MaaS has the same
format under another base URL. Errors of the gateway have Huawei's envelope; those of the image are passed through.

Sources: usermanual-standard-modelarts 0023, 0105, 0106, 0124; inference2.0 0007, 0013, 0014; the MaaS guide;
`huaweicloudsdkcore` 3.1.219 (exception_handler.py).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar

from mdstream_core import _json
from mdstream_core._addresses import check_url
from mdstream_core.errors import ErrorBody, ServiceError, error_class_for_status, parse_error_body, parse_error_object
from mdstream_core.http import DEFAULT_TIMEOUT, Request, ResponseHead, Timeout, check_query, check_route
from mdstream_core.platforms._modelarts_errors import CODES, STATUSES
from mdstream_core.platforms._platform import (
    SERVER_INFO_ROUTES,
    USER_AGENT,
    Trailers,
    build_service_error,
    create_frame_decoder,
)
from mdstream_core.wire import FrameDecoder
from mdstream_core.wire.websocket_messages import CONTENT_TYPE, MessageDecoder

#: Maximum size of a signed request's body in bytes (documentation of `huaweicloudsdkcore`).
MAX_REQUEST_BYTES = 12 * 1024 * 1024

_SCHEMES = ("https", "http", "wss", "ws")
_NO_ENDPOINT = (
    "is not a URL of a service (hint: use the URL that the console shows, such as "
    "https://infer-modelarts-<region>.modelarts-infer.com/v1/infers/<id>, or wss://… for a WebSocket service, "
    "or https://api.modelarts-maas.com/v1 for MaaS)"
)
_VERSION = re.compile(r"/v[0-9]+$")
_PATH = re.compile(r"/((chat/)?completions|embeddings|rerank)$")
_CODE = re.compile(r"[A-Za-z]+\.\d+")

#: The field names of code and message in the envelope (exception_handler.py), at the top or one level down.
_ERROR_FIELDS = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))

#: API Gateway allows a prediction of a real-time service 40 to 60 s (inference-modelarts-0105, trouble 0221).
_GATEWAY_TIMEOUT = replace(DEFAULT_TIMEOUT, read=65.0, total=330.0)
_GATEWAY = re.compile(r"/v[0-9]+/infers/|\.apigw?\.")

#: No limit is documented for a VPC channel, inference 2.0 (where each service has its own) and MaaS. A whole response
#: has the 600 s of the `openai` SDK, which MaaS documents; a stream is limited by the time
#: without data.
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=600.0, total=630.0)
_STREAM_TIMEOUT = replace(DEFAULT_TIMEOUT, read=240.0, total=3600.0)


@dataclass(frozen=True, slots=True)
class ModelArts:
    """A real-time service of ModelArts, or MaaS.

    Args:
        endpoint: The URL that the console shows: `https://infer-modelarts-<region>.modelarts-infer.com/v1/infers/<id>`,
            or `http://<ip>:<port>` of a VPC channel; or an OpenAI base URL that ends with its version (MaaS:
            `https://api.modelarts-maas.com/v1`), or the complete URL of a route. A `wss://` URL selects WebSocket.
            Required.
        route: The image's path, appended to the URL, such as `/v1/chat/completions`. Default (`None`): that of the
            dialect; `""` appends none.

    Raises:
        ValueError: A field is malformed, or contains a credential; the message names it.

    Example:
        >>> ModelArts("https://h/v1/infers/8e1b").build_url("/v1/chat/completions")
        'https://h/v1/infers/8e1b/v1/chat/completions'
        >>> ModelArts("https://api.modelarts-maas.com/v2").build_url("/v1/chat/completions")
        'https://api.modelarts-maas.com/v2/chat/completions'
    """

    endpoint: str
    """URL of the service as the console shows it; required."""
    route: str | None = None
    """Path of the container image, such as `/v1/chat/completions`. Default: that of the dialect; `""`: none."""
    base_url: str = field(init=False, default="")
    """The endpoint without its query, computed."""
    query: str = field(init=False, default="")
    """The query of the endpoint, computed; it is added to each request."""

    name: ClassVar[str] = "modelarts"
    #: The usage follows the finish event, and a WebSocket's close code follows everything.
    can_fail_after_output: ClassVar[bool] = True
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
        """Whether requests are sent over a WebSocket."""
        return self.base_url.startswith("ws")

    def build_url(self, route: str) -> str:
        """Return the URL of a route.

        Args:
            route: The dialect's path, such as `/v1/chat/completions`.
        """
        return _build_url(self.base_url, self.query, self.route, route)

    def default_timeout(self, *, stream: bool) -> Timeout:
        """65 s without data and 330 s in total behind API Gateway; else 600 s, and 240 s without data for a stream."""
        if _is_behind_gateway(self.base_url):
            return _GATEWAY_TIMEOUT
        return _STREAM_TIMEOUT if stream else _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the payload unchanged."""
        return body

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """Build a POST, or the handshake of a WebSocket whose first message is `content`; a GET without content."""
        fields = {
            "accept": "text/event-stream, application/json" if stream else "application/json",
            "user-agent": USER_AGENT,
        }
        if not self.is_websocket:
            fields |= {
                "accept-encoding": "gzip, deflate",
                "content-length": str(len(content)),
                "content-type": "application/json",
            }
        if headers:
            fields |= {name.lower(): value for name, value in headers.items()}
        method = "POST" if content and not self.is_websocket else "GET"
        return Request(method, self.build_url(route), fields, content)

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Create the decoder for server-sent events, a JSON document, or WebSocket messages."""
        return MessageDecoder() if head.content_type == CONTENT_TYPE else create_frame_decoder(head)

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """Create the error for Huawei's envelope, or for an error of the image."""
        parsed = _parse_error_body(body)
        default = error_class_for_status(head.status), STATUSES.get(head.status, "")
        error_class, hint = CODES.get(parsed.code or "", default)
        return build_service_error(head, body, parsed, error_class, hint)

    def check_trailers(self, trailers: Trailers) -> None:
        """Do nothing: the service sends no trailers. The frame decoder checks the close code of a WebSocket."""

    def request_id(self, head: ResponseHead) -> str | None:
        """The value of `X-Request-Id`."""
        return head.headers.get("x-request-id")

    def service_metadata(self, head: ResponseHead) -> Mapping[str, str]:
        """Return nothing: the headers say nothing about the model's response."""
        return {}


@lru_cache(maxsize=256)
def _build_url(base_url: str, query: str, own_route: str | None, route: str) -> str:
    if route in SERVER_INFO_ROUTES:
        base = _PATH.sub("", base_url)
        return f"{base}{_strip_version(route) if _VERSION.search(base) else route}"
    path = route if own_route is None else own_route
    if own_route is None and base_url.endswith((path, _strip_version(path))):
        path = ""
    elif _VERSION.search(base_url):
        path = _strip_version(path)
    slash = "/" if path and not path.startswith("/") else ""
    return f"{base_url}{slash}{path}" + (f"?{query}" if query else "")


@lru_cache(maxsize=256)
def _is_behind_gateway(base_url: str) -> bool:
    return _GATEWAY.search(base_url) is not None


def _strip_version(path: str) -> str:
    return path.removeprefix("/v1")


def _parse_error_body(body: bytes) -> ErrorBody:
    """Parse Huawei's envelope or the image's error; the code of the envelope takes precedence over one inside it."""
    parsed = parse_error_body(body)
    try:
        document: Any = _json.loads(body)
    except ValueError:
        return parsed
    inner, code = next(_envelopes(document), ({}, ""))
    if not code:
        return parsed
    error = parse_error_object(document) or parse_error_object(inner)
    return ErrorBody(error.message if error else parsed.message, code)


def _envelopes(document: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Find envelopes and their codes, at the top or one level down; errors of the image have codes of another form."""
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
        shown = re.split("[?#]", endpoint)[0]  # a query may contain a key
        raise ValueError(f"endpoint={shown!r} {_NO_ENDPOINT}")
    return endpoint
