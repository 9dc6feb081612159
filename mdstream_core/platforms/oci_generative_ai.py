"""OCI Generative AI: models that Oracle hosts, on demand or on a dedicated cluster.

`POST /20231130/actions/chat` and `/actions/generateText` take an envelope that says where (compartment) and who
(serving mode), with the dialect's own request in it; `/openai/v1` and the older `/20231130/actions/v1` take OpenAI's
requests as they are, and the compartment in a header. The finish event says how it went, and the connection may stay
open behind it (cohere-ai/cohere-python#756). No limit of a request's size is documented.

Sources: `oci` SDK 2.189 (`generative_ai_inference`, `regions_definitions.py`), `oci_openai` 1.1,
oracle/langchain-oracle, Oracle's page of API errors.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mdstream_core._addresses import check_name, check_url
from mdstream_core.errors import ContextOverflow, ServiceError, error_class_for_status, parse_error_body
from mdstream_core.http import DEFAULT_TIMEOUT, Request, ResponseHead, Timeout
from mdstream_core.platforms._oci_regions import REALMS, REGIONS
from mdstream_core.platforms._platform import (
    USER_AGENT,
    Hints,
    Trailers,
    build_service_error,
    create_frame_decoder,
    find_hint,
)
from mdstream_core.wire import FrameDecoder

_VERSION = "/20231130"

#: Under which name an operation's envelope holds the request; without one its fields stand beside the address.
_ENVELOPE_FIELDS = {
    "/actions/chat": "chatRequest",
    "/actions/generateText": "inferenceRequest",
    "/actions/embedText": "",
    "/actions/rerankText": "",
}

_NO_ENDPOINT = "is no URL of the service: give https://inference.generativeai.<region>.oci.…"

_DEDICATED = "ocid1.generativeaiendpoint"

#: Paths behind the host that people copy along with it.
_PATHS = re.compile(
    r"(/20231130)?(/actions)?(/v1|/openai/v1|/chat|/generateText|/embedText|/rerankText)?(/chat/completions)?/*"
)

#: Cohere's words for a question that is longer than its context.
_TOO_LONG = re.compile(r"too many tokens|total number of tokens", re.IGNORECASE)

#: What to do about a refusal.
_HINTS: Hints = (
    (400, "correct format", "the model speaks another format: cohere.* take COHERE or COHEREV2, all others GENERIC"),
    (400, "CannotParseRequest", "a field is unknown or misspelled: native names are camelCase"),
    (400, "RelatedResource", "the compartment or the endpoint does not exist, or no policy lets you use it"),
    (400, "LimitExceeded", "a limit of the tenancy is reached"),
    (400, "QuotaExceeded", "a quota of the compartment is used up"),
    (401, "", "check the key, the clock (OCI allows 5 minutes) and that the token has not expired"),
    (403, "", "a policy has to allow `use generative-ai-family` in this compartment"),
    (
        404,
        "",
        (
            "check the model's name, that this region offers it and has not retired it, the compartment's OCID, and "
            "that a policy allows `use generative-ai-family`; OCI hides which"
        ),
    ),
    (413, "", "the request is too large: send fewer or smaller images"),
    (429, "", "too many requests or tokens a minute for this model: wait, or use a dedicated AI cluster"),
    (500, "", "the service or the model failed"),
    (503, "", "the model is not available at the moment"),
)

#: No limit is documented. A reasoning model thinks for minutes before the first byte, so the silence is langchain-oci's
#: 240 s (`common/auth.py`; the SDK's 60 s are too short). A stream goes on while it says something: an hour is a bound.
_TIMEOUT = replace(DEFAULT_TIMEOUT, read=240.0, total=330.0)
_STREAM_TIMEOUT = replace(_TIMEOUT, total=3600.0)


@dataclass(frozen=True, slots=True)
class OCIGenerativeAI:
    """One model of the service, in one region, paid for by one compartment.

    Args:
        compartment_id: OCID of the compartment (or of the tenancy, its root). All native operations need it; the
            OpenAI-compatible ones do unless the credential is an API key.
        model: A model's name or OCID, or the OCID of a dedicated cluster's endpoint (`ocid1.generativeaiendpoint…`).
            A question that names a model of its own goes to that one.
        region: Such as `us-chicago-1`, or its short key (`ord`).
        service_endpoint: The service's URL instead: a private endpoint, a proxy, the emulator.
        realm: Such as `oc1`; by default the one that stands in the compartment's OCID.
        openai_base: Where OpenAI's requests go: `/openai/v1`, or the older `/20231130/actions/v1`.

    Example:
        >>> OCIGenerativeAI("ocid1.compartment.oc1..aaaa", "xai.grok-4", region="us-chicago-1").base_url
        'https://inference.generativeai.us-chicago-1.oci.oraclecloud.com'
    """

    compartment_id: str | None = None
    model: str | None = None
    region: str | None = None
    service_endpoint: str | None = None
    realm: str | None = None
    openai_base: str = "/openai/v1"
    base_url: str = field(init=False, default="")

    name: ClassVar[str] = "oci-genai"
    reports_failure_after_body: ClassVar[bool] = False
    has_trailers: ClassVar[bool] = False
    #: Behind the finish event only the usage comes, if anything does.
    drain_timeout: ClassVar[float] = 3.0
    max_request_bytes: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        if self.compartment_id is not None:
            check_name("compartment_id", self.compartment_id, "oci compartment")
        check_name("openai_base", self.openai_base, "openai base")
        base = _split_endpoint(self.service_endpoint) if self.service_endpoint else self._host()
        object.__setattr__(self, "base_url", base)

    def default_timeout(self, *, stream: bool) -> Timeout:
        """240 s of silence: reasoning models think that long before the first byte."""
        return _STREAM_TIMEOUT if stream else _TIMEOUT

    def wrap_payload(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body that is sent: a native request goes into an envelope that addresses it.

        Args:
            route: The dialect's.
            body: The dialect's request. Its `model`, if it names one, is taken out; one with a `servingMode` of its
                own is sent as it is.

        Raises:
            ValueError: The compartment or the model is not known, or the dialect is not spoken here.
        """
        if "servingMode" in body:
            return dict(body)
        model = body.get("model") or self.model
        if not model:
            raise ValueError(
                "model is missing: give a model's name such as 'xai.grok-4', or a dedicated endpoint's OCID"
            )
        inner = {name: value for name, value in body.items() if name != "model"}
        if route.startswith("/v1/"):
            return {"model": model, **inner}
        if route not in _ENVELOPE_FIELDS:
            raise ValueError(
                f"route {route!r} is no operation of OCI Generative AI: choose an oci-… dialect or openai-chat"
            )
        if not self.compartment_id:
            raise ValueError(
                "compartment_id is missing: OCI Generative AI bills a compartment, ocid1.compartment.oc1..…"
            )
        address: dict[str, Any] = {"compartmentId": self.compartment_id, "servingMode": _serving_mode(model)}
        return address | ({_ENVELOPE_FIELDS[route]: inner} if _ENVELOPE_FIELDS[route] else inner)

    def build_request(self, route: str, content: bytes, *, stream: bool, headers: Mapping[str, str]) -> Request:
        """A POST to the operation, or to OpenAI's path where the dialect is OpenAI's."""
        fields = {
            "accept": "text/event-stream, application/json" if stream else "application/json",
            "accept-encoding": "gzip, deflate",  # the service prefers zstd, which cannot be read as a stream
            "content-length": str(len(content)),
            "content-type": "application/json",
            "opc-request-id": uuid.uuid4().hex.upper(),
            "user-agent": USER_AGENT,
        }
        url = f"{self.base_url}{_VERSION}{route}"
        if route.startswith("/v1/"):
            url = f"{self.base_url}{self.openai_base}{route.removeprefix('/v1')}"
            if self.compartment_id:  # both names, as Oracle's own client sends it
                fields |= {"opc-compartment-id": self.compartment_id, "compartmentid": self.compartment_id}
        return Request(
            "POST" if content else "GET",
            url,
            {**fields, **{name.lower(): value for name, value in headers.items()}},
            content,
        )

    def create_frame_decoder(self, head: ResponseHead) -> FrameDecoder:
        """Events, or one document."""
        return create_frame_decoder(head)

    def parse_error(self, head: ResponseHead, body: bytes) -> ServiceError:
        """OCI's envelope `{"code", "message"}`; the message may be another error's JSON."""
        said = parse_error_body(body)
        too_long = head.status == 400 and _TOO_LONG.search(said.message)
        kind = ContextOverflow if too_long else error_class_for_status(head.status)
        return build_service_error(head, body, said, kind, find_hint(head, said, _HINTS))

    def check_trailers(self, trailers: Trailers) -> None:
        """This service has no trailers."""

    def request_id(self, head: ResponseHead) -> str | None:
        """`opc-request-id`."""
        return head.headers.get("opc-request-id")

    def _host(self) -> str:
        if not self.region:
            raise ValueError(
                "region is missing: give region='us-chicago-1' (or another), or service_endpoint='https://…'"
            )
        name = self.region.lower() if self.region.isupper() else self.region
        region = check_name("region", REGIONS.get(name, name), "oci region")
        return f"https://inference.generativeai.{region}.oci.{self._domain()}"

    def _domain(self) -> str:
        """Realms beside those of the table are named by their number (`oci/regions_definitions.py`)."""
        realm = self.realm or (self.compartment_id or "...oc1").split(".")[2] or "oc1"
        number = check_name("realm", realm, "oci realm").removeprefix("oc")
        return "oraclecloud.com" if realm == "oc1" else REALMS.get(realm, f"oraclecloud{number}.com")


def _serving_mode(model: str) -> dict[str, str]:
    if model.startswith(_DEDICATED):
        return {"servingType": "DEDICATED", "endpointId": model}
    return {"servingType": "ON_DEMAND", "modelId": model}


def _split_endpoint(given: str) -> str:
    """Scheme and host of what was given, and a proxy's path if there is one."""
    url = given.strip()
    check_url("service_endpoint", url, problem=_NO_ENDPOINT)
    if "?" in url or "#" in url:
        shown = re.split("[?#]", url)[0]  # a query may hold a key
        raise ValueError(f"service_endpoint={shown!r} {_NO_ENDPOINT}")
    behind = re.search(r"(?<=[^/])(/20231130|/openai)(/.*)?$|/+$", url)
    if behind and _PATHS.fullmatch(behind[0]):
        url = url[: behind.start()]
    return url.rstrip("/")
