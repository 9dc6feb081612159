"""OCI Generative AI: models that Oracle hosts, on demand or on a dedicated cluster.

`POST /20231130/actions/chat` and `/actions/generateText` take an envelope with compartment and serving mode that
contains the dialect's request; `/openai/v1` and the older `/20231130/actions/v1` take OpenAI requests unchanged, with
the compartment in a header. The finish event completes a stream, and the connection may stay open after it
(cohere-ai/cohere-python#756). No limit of the size of a request is documented.

Sources: `oci` SDK 2.189 (`generative_ai_inference`, `regions_definitions.py`), `oci_openai` 1.1,
oracle/langchain-oracle, Oracle's page on API errors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mdstream_core._addresses import check_name, check_url
from mdstream_core.errors import (
    ContentFiltered,
    ContextOverflow,
    ServiceError,
    error_class_for_status,
    parse_error_body,
)
from mdstream_core.http import DEFAULT_TIMEOUT, Request, ResponseHead, Timeout
from mdstream_core.platforms._oci_regions import REALMS, REGIONS
from mdstream_core.platforms._platform import (
    USER_AGENT,
    Hints,
    Trailers,
    build_service_error,
    create_frame_decoder,
    create_request_id,
    find_hint,
)
from mdstream_core.wire import FrameDecoder

_VERSION = "/20231130"

#: The field of each operation's envelope that contains the request; empty if its fields are merged into the envelope.
_ENVELOPE_FIELDS = {
    "/actions/chat": "chatRequest",
    "/actions/generateText": "inferenceRequest",
    "/actions/embedText": "",
    "/actions/rerankText": "",
    "/actions/applyGuardrails": "",
}

#: Operations that use no model, so that their envelope has no serving mode.
_OPERATIONS_WITHOUT_MODEL = frozenset({"/actions/applyGuardrails"})

#: The route of OpenAI's Responses API, the only one with a conversation store.
_RESPONSES = "/v1/responses"

_NO_ENDPOINT = "is not a URL of the service (hint: use https://inference.generativeai.<region>.oci.…)"

_DEDICATED = "ocid1.generativeaiendpoint"

#: Paths that users copy together with the host.
_PATHS = re.compile(
    r"(/20231130)?(/actions)?(/v1|/openai/v1|/chat|/generateText|/embedText|/rerankText|/applyGuardrails)?"
    r"(/chat/completions|/responses)?/*"
)

#: Cohere's messages for a prompt that exceeds the context window.
_TOO_LONG = re.compile(r"too many tokens|total number of tokens", re.IGNORECASE)

#: The message of a dedicated endpoint whose guardrails block a request (Oracle's release note of 26 February 2026).
_BLOCKED = re.compile(r"inappropriate content", re.IGNORECASE)

#: Hints for error responses.
_HINTS: Hints = (
    (
        400,
        "correct format",
        "choose the API format of the model: COHERE or COHEREV2 for cohere.*, GENERIC for all others",
    ),
    (400, "CannotParseRequest", "check the names of the fields: native ones are camelCase"),
    (400, "RelatedResource", "check the OCIDs of compartment and endpoint, and that a policy allows their use"),
    (400, "LimitExceeded", "request a higher limit for the tenancy"),
    (400, "QuotaExceeded", "raise the quota of the compartment"),
    (401, "", "check the key, that the token has not expired, and this machine's clock: OCI allows 5 minutes"),
    (403, "", "add a policy that allows `use generative-ai-family` in this compartment"),
    (
        404,
        "",
        (
            "check the model's name, that this region offers it and has not retired it, the compartment's OCID, and "
            "that a policy allows `use generative-ai-family`; OCI does not report which"
        ),
    ),
    (400, "Inappropriate content", "the endpoint's guardrails blocked the request: send another prompt"),
    (413, "", "send fewer or smaller images: the request is too large"),
    (429, "", "send fewer requests or tokens a minute to this model, or use a dedicated AI cluster"),
    (500, "", "retry: the service or the model failed"),
    (503, "", "retry later: the model is not available at the moment"),
)

#: No limit is documented. A reasoning model computes for minutes before the first byte, so the read timeout is
#: langchain-oci's 240 s (`common/auth.py`; the SDK's 60 s are too short). A stream may take an hour.
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=240.0, total=330.0)
_STREAM_TIMEOUT = replace(_TIMEOUT, total=3600.0)


@dataclass(frozen=True, slots=True)
class OCIGenerativeAI:
    """A model of OCI Generative AI, in one region, billed to one compartment.

    Args:
        compartment_id: OCID of the compartment that is billed, or of the tenancy, which is the root compartment:
            `ocid1.compartment.oc1..…`. Native operations require it; the OpenAI-compatible ones do unless the
            credential is an API key. Default: none.
        model: Name or OCID of a model such as `xai.grok-4`, or OCID of an endpoint of a dedicated AI cluster
            (`ocid1.generativeaiendpoint…`). The `model` of a request takes precedence. Default: none.
        region: Name of the region such as `us-chicago-1`, or its short key such as `ord`. Required without
            `service_endpoint`.
        service_endpoint: URL of the service, for a private endpoint, a proxy or the emulator. Default: that of the
            region.
        realm: Realm such as `oc1`. Default: that of the compartment's OCID.
        openai_base: Path of the OpenAI-compatible API: `/openai/v1`, or the older `/20231130/actions/v1`. Default:
            `/openai/v1`.
        conversation_store_id: Id of the conversation store in which OpenAI's Responses API stores responses. Default:
            none.

    Raises:
        ValueError: A field is missing or malformed; the message names it.

    Example:
        >>> OCIGenerativeAI("ocid1.compartment.oc1..aaaa", "xai.grok-4", region="us-chicago-1").base_url
        'https://inference.generativeai.us-chicago-1.oci.oraclecloud.com'
    """

    compartment_id: str | None = None
    """OCID of the compartment that is billed, `ocid1.compartment.oc1..…`. Default: none."""
    model: str | None = None
    """Name or OCID of a model such as `xai.grok-4`, or OCID of a dedicated endpoint. Default: none."""
    region: str | None = None
    """Region such as `us-chicago-1`, or its short key such as `ord`. Required without `service_endpoint`."""
    service_endpoint: str | None = None
    """URL of the service, for a private endpoint, a proxy or the emulator. Default: that of `region`."""
    realm: str | None = None
    """Realm such as `oc1`. Default: that of the compartment's OCID."""
    openai_base: str = "/openai/v1"
    """Path of the OpenAI-compatible API: `/openai/v1` (default), or the older `/20231130/actions/v1`."""
    conversation_store_id: str | None = None
    """Id of the conversation store in which OpenAI's Responses API stores responses. Default: none."""
    base_url: str = field(init=False, default="")
    """Scheme and host of the service, computed."""

    name: ClassVar[str] = "oci-genai"
    can_fail_after_output: ClassVar[bool] = False
    has_trailers: ClassVar[bool] = False
    #: At most the usage follows the finish event.
    drain_timeout: ClassVar[float] = 3.0
    max_request_bytes: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        if self.compartment_id is not None:
            check_name("compartment_id", self.compartment_id, "oci compartment")
        check_name("openai_base", self.openai_base, "openai base")
        if self.conversation_store_id is not None:
            check_name("conversation_store_id", self.conversation_store_id, "oci conversation store")
        base = _split_endpoint(self.service_endpoint) if self.service_endpoint else self._host()
        object.__setattr__(self, "base_url", base)

    def default_timeout(self, *, stream: bool) -> Timeout:
        """240 s without data, because a reasoning model may take so long; 330 s in total, or an hour for a stream."""
        return _STREAM_TIMEOUT if stream else _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Wrap a native payload in the envelope with compartment and serving mode.

        Args:
            route: The dialect's path, such as `/actions/chat` or `/v1/chat/completions`.
            body: The dialect's payload. A `model` in it moves to the envelope; a payload with `servingMode` is sent
                unchanged.

        Raises:
            ValueError: Compartment or model is missing, or the service does not support the dialect.
        """
        if "servingMode" in body:
            return dict(body)
        if not route.startswith("/v1/") and route not in _ENVELOPE_FIELDS:
            raise ValueError(
                f"the dialect is not supported: its route {route!r} is not an operation of OCI Generative AI "
                "(hint: set dialect to openai-chat, or to one that begins with oci-)"
            )
        model = str(body.get("model") or self.model or "")
        if not model and route not in _OPERATIONS_WITHOUT_MODEL:
            raise ValueError(
                "model is missing (hint: set it to a name such as 'xai.grok-4', or to a dedicated endpoint's OCID)"
            )
        inner = dict(body)
        inner.pop("model", None)
        if route.startswith("/v1/"):
            return {"model": model, **inner}
        if not self.compartment_id:
            raise ValueError(
                "compartment_id is missing (hint: set it to the OCID of the compartment that is billed, "
                "ocid1.compartment.oc1..…)"
            )
        envelope: dict[str, Any] = {"compartmentId": self.compartment_id}
        if route not in _OPERATIONS_WITHOUT_MODEL:
            envelope["servingMode"] = _serving_mode(model)
        return envelope | ({_ENVELOPE_FIELDS[route]: inner} if _ENVELOPE_FIELDS[route] else inner)

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """Build a POST to the operation, or to the OpenAI-compatible path if the dialect is OpenAI's."""
        fields = {
            "accept": "text/event-stream, application/json" if stream else "application/json",
            "accept-encoding": "gzip, deflate",  # the service prefers zstd, which httpx cannot decompress as a stream
            "content-length": str(len(content)),
            "content-type": "application/json",
            "opc-request-id": create_request_id(),
            "user-agent": USER_AGENT,
        }
        url = f"{self.base_url}{_VERSION}{route}"
        if route.startswith("/v1/"):
            url = f"{self.base_url}{self.openai_base}{route.removeprefix('/v1')}"
            if self.compartment_id:  # both headers, as Oracle's own client sends them
                fields |= {"opc-compartment-id": self.compartment_id, "compartmentid": self.compartment_id}
            if self.conversation_store_id and route == _RESPONSES:
                fields["opc-conversation-store-id"] = self.conversation_store_id
        if headers:
            fields |= {name.lower(): value for name, value in headers.items()}
        return Request("POST" if content else "GET", url, fields, content)

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Create the decoder for server-sent events or a JSON document."""
        return create_frame_decoder(head)

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """Create the error for OCI's envelope `{"code", "message"}`; the message may be the JSON of another error."""
        parsed = parse_error_body(body)
        error_class = _bad_request_class(parsed.message) if head.status == 400 else error_class_for_status(head.status)
        return build_service_error(head, body, parsed, error_class, find_hint(head, parsed, _HINTS))

    def check_trailers(self, trailers: Trailers) -> None:
        """Do nothing: the service sends no trailers."""

    def request_id(self, head: ResponseHead) -> str | None:
        """The value of `opc-request-id`."""
        return head.headers.get("opc-request-id")

    def service_metadata(self, head: ResponseHead) -> Mapping[str, str]:
        """Return nothing: the headers say nothing about the model's response."""
        return {}

    def _host(self) -> str:
        if not self.region:
            raise ValueError(
                "region is missing (hint: set region, such as 'us-chicago-1', or service_endpoint='https://…')"
            )
        name = self.region.lower() if self.region.isupper() else self.region
        region = check_name("region", REGIONS.get(name, name), "oci region")
        return f"https://inference.generativeai.{region}.oci.{self._domain()}"

    def _domain(self) -> str:
        """The second-level domain; that of a realm outside the table has its number (`oci/regions_definitions.py`)."""
        realm = self.realm or (self.compartment_id or "...oc1").split(".")[2] or "oc1"
        number = check_name("realm", realm, "oci realm").removeprefix("oc")
        return "oraclecloud.com" if realm == "oc1" else REALMS.get(realm, f"oraclecloud{number}.com")


def _bad_request_class(message: str) -> type[ServiceError]:
    """The class of an error response with status 400."""
    classes = ((_TOO_LONG, ContextOverflow), (_BLOCKED, ContentFiltered))
    return next((cls for pattern, cls in classes if pattern.search(message)), error_class_for_status(400))


def _serving_mode(model: str) -> dict[str, str]:
    if model.startswith(_DEDICATED):
        return {"servingType": "DEDICATED", "endpointId": model}
    return {"servingType": "ON_DEMAND", "modelId": model}


def _split_endpoint(endpoint: str) -> str:
    """Scheme and host of a URL, and the path of a proxy if it has one."""
    url = endpoint.strip()
    check_url("service_endpoint", url, problem=_NO_ENDPOINT)
    if "?" in url or "#" in url:
        shown = re.split("[?#]", url)[0]  # a query may contain a key
        raise ValueError(f"service_endpoint={shown!r} {_NO_ENDPOINT}")
    suffix = re.search(r"(?<=[^/])(/20231130|/openai)(/.*)?$|/+$", url)
    if suffix and _PATHS.fullmatch(suffix[0]):
        url = url[: suffix.start()]
    return url.rstrip("/")
