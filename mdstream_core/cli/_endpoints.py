r"""Parse ENDPOINT: detect its platform and the parts of its address.

>>> parse_endpoint("arn:aws:sagemaker:eu-west-1:123456789012:endpoint/llama").fields
{'region': 'eu-west-1', 'name': 'llama'}
>>> parse_endpoint("https://api.modelarts-maas.com/v1").platform
'modelarts'
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mdstream_core.cli._options import Options, UsageError, name_options
from mdstream_core.cli._platform_names import MODELARTS, OCI_GENAI, OCI_MODEL_DEPLOYMENT, SAGEMAKER
from mdstream_core.platforms import ModelArts, OCIGenerativeAI, OCIModelDeployment, Platform, SageMaker

_URL = r"(?P<url>https?://[^/?#]+)"
_NAME = r"(?P<name>[a-zA-Z0-9](?:-*[a-zA-Z0-9])*)"

#: Patterns of ENDPOINT, the platform of each, and a description of what was matched. The first match counts.
_ADDRESS_PATTERNS: tuple[tuple[str, str, str], ...] = (
    (r"ocid1\.datasciencemodeldeployment.*", OCI_MODEL_DEPLOYMENT, "the OCID of a model deployment"),
    (r"https?://.*/ocid1\.datasciencemodeldeployment.*", OCI_MODEL_DEPLOYMENT, "a model deployment's OCID in the URL"),
    (r"https?://(modeldeployment|md\.datascience)\..*", OCI_MODEL_DEPLOYMENT, "a host of model deployments"),
    (
        r"(?P<model>ocid1\.generativeaiendpoint\.[a-z0-9]+\.(?P<region>[a-z0-9-]*)\..*)",
        OCI_GENAI,
        "the OCID of a dedicated endpoint",
    ),
    (
        r"(?P<url>https?://(inference\.)?generativeai\.(?P<region>[a-z0-9-]+)\.oci\..*)",
        OCI_GENAI,
        "a host of OCI Generative AI",
    ),
    (r"(?P<url>https?://.*/(20231130|openai/v1)(/.*)?)", OCI_GENAI, "a path of OCI Generative AI"),
    (
        rf"arn:aws[a-z-]*:sagemaker:(?P<region>[a-z0-9-]+):[0-9]*:endpoint/{_NAME}",
        SAGEMAKER,
        "the ARN of a SageMaker endpoint",
    ),
    (
        rf"(?P<url>https?://runtime(-fips)?\.sagemaker(-fips)?\.(?P<region>[a-z0-9-]+)\.[^/]+)/endpoints/{_NAME}(/.*)?",
        SAGEMAKER,
        "a host of SageMaker",
    ),
    (rf"{_URL}/endpoints/{_NAME}(/invocations.*)?", SAGEMAKER, "/endpoints/ in the path"),
    (r"(https|http|wss|ws)://[^/]*modelarts.*", MODELARTS, "a host of ModelArts"),
    (r"(https|http|wss|ws)://[^/]+/(v1/infers|maas)/.*", MODELARTS, "a path of ModelArts"),
    (r"wss?://.*", MODELARTS, "a WebSocket URL, which only ModelArts has"),
)

#: Patterns of ENDPOINT if only `--platform` selects the platform. The first match counts.
_PATTERNS_BY_PLATFORM: Mapping[str, tuple[str, ...]] = {
    OCI_MODEL_DEPLOYMENT: (r".*",),
    OCI_GENAI: (r"(?P<url>https?://.*)", r"(?P<region>[a-z]{2}(-[a-z]+)+-[0-9]+|[a-z]{3})"),
    SAGEMAKER: (_NAME,),
    MODELARTS: (r".*",),
}

_FORMS_HINT = (
    "pass the OCID or URL of a model deployment, an https://inference.generativeai.… URL, the name, ARN or "
    "…/endpoints/NAME URL of a SageMaker endpoint, or a ModelArts URL; or set --platform"
)
_PLATFORM_FORMS_HINTS: Mapping[str, str] = {
    OCI_GENAI: "pass an https:// URL or a region such as us-chicago-1",
    SAGEMAKER: "pass the endpoint's name, its ARN, or a URL that ends in /endpoints/NAME",
}


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """A parsed ENDPOINT.

    Attributes:
        endpoint: ENDPOINT as it was given.
        platform: The platform's name, one of `PLATFORM_NAMES`.
        matched_by: What selected the platform, such as "the ARN of a SageMaker endpoint".
        fields: Parts of the address: `url`, `region`, `name`, `model`. Only those that it has.
    """

    endpoint: str
    platform: str
    matched_by: str
    fields: Mapping[str, str]


def parse_endpoint(endpoint: str, platform: str | None = None) -> EndpointInfo:
    """Parse ENDPOINT.

    Args:
        endpoint: An OCID, URL, ARN or name.
        platform: The value of `--platform`; by default the platform is detected from the form of `endpoint`.

    Raises:
        UsageError: The platform cannot be detected, or `endpoint` is not an address on it.
    """
    endpoint = endpoint.strip()
    for form, owner, description in _ADDRESS_PATTERNS:
        match = re.fullmatch(form, endpoint)
        if match and platform in {None, owner}:
            return EndpointInfo(endpoint, owner, description, _match_fields(match))
    if platform is None and (match := re.fullmatch(_NAME, endpoint)):
        return EndpointInfo(endpoint, SAGEMAKER, "a bare name, as SageMaker endpoints have", _match_fields(match))
    for form in _PATTERNS_BY_PLATFORM.get(platform or "", ()):
        if match := re.fullmatch(form, endpoint):
            return EndpointInfo(endpoint, platform or "", "--platform", _match_fields(match))
    if "@" in endpoint:
        raise UsageError(
            "ENDPOINT contains a user or password before the host (hint: use --api-key or --auth-type instead)"
        )
    without_query = re.split("[?#]", endpoint)[0]  # the query can contain a key
    if platform is None:
        raise UsageError(f"ENDPOINT {without_query!r}: cannot detect the platform (hint: {_FORMS_HINT})")
    hint = _PLATFORM_FORMS_HINTS.get(platform, _FORMS_HINT)
    raise UsageError(f"ENDPOINT {without_query!r} is not an address on {platform} (hint: {hint})")


def _match_fields(match: re.Match[str]) -> dict[str, str]:
    return {name: value for name, value in match.groupdict().items() if value}


def build_platform(
    endpoint_info: EndpointInfo, options: Options, region: str | None = None, url: str | None = None
) -> Platform:
    """Build the platform of an endpoint.

    Args:
        endpoint_info: The parsed ENDPOINT.
        options: The command line.
        region: The credentials' region, used if neither `--region` nor ENDPOINT has one.
        url: URL of the SageMaker runtime as botocore resolves it, used if ENDPOINT is no URL.

    Raises:
        UsageError: A part of the address is missing or invalid.
    """
    region = options.region or endpoint_info.fields.get("region") or region
    try:
        return _BUILDERS[endpoint_info.platform](endpoint_info, options, region, url)
    except ValueError as error:
        raise UsageError(name_options(str(error))) from None


def _build_genai(endpoint_info: EndpointInfo, options: Options, region: str | None, _: str | None) -> Platform:
    if not options.compartment:
        raise UsageError(
            "--compartment is missing: oci-genai bills a compartment (hint: pass its OCID, ocid1.compartment.oc1..…)"
        )
    model = options.model or endpoint_info.fields.get("model")
    if not model:
        raise UsageError(
            "--model is missing (hint: pass a model name such as xai.grok-4, or the OCID of a dedicated endpoint)"
        )
    url = endpoint_info.fields.get("url")
    return OCIGenerativeAI(options.compartment, model, region, url)


_BUILDERS: Mapping[str, Callable[[EndpointInfo, Options, str | None, str | None], Platform]] = {
    OCI_MODEL_DEPLOYMENT: lambda endpoint_info, options, region, _: OCIModelDeployment(
        endpoint_info.endpoint, options.region
    ),
    OCI_GENAI: _build_genai,
    SAGEMAKER: lambda endpoint_info, options, region, url: SageMaker(
        endpoint_info.fields["name"], region, endpoint_info.fields.get("url") or url
    ),
    MODELARTS: lambda endpoint_info, options, region, _: ModelArts(endpoint_info.endpoint),
}
