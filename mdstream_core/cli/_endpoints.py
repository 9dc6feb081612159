r"""What an ENDPOINT on the command line means: the platform, and what of its address stands in it.

>>> parse_endpoint("arn:aws:sagemaker:eu-west-1:123456789012:endpoint/llama").fields
{'region': 'eu-west-1', 'name': 'llama'}
>>> parse_endpoint("https://api.modelarts-maas.com/v1").platform
'modelarts'
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mdstream_core.cli._parser import Options, UsageError
from mdstream_core.platforms import ModelArts, OCIGenerativeAI, OCIModelDeployment, Platform, SageMaker

_DEPLOYMENT, _GENAI, _SAGEMAKER, _MODELARTS = "oci-model-deployment", "oci-genai", "sagemaker", "modelarts"
_URL = r"(?P<url>https?://[^/?#]+)"
_NAME = r"(?P<name>[a-zA-Z0-9](?:-*[a-zA-Z0-9])*)"

#: What an ENDPOINT looks like, whose it is then, and by what it was known. The first that fits counts.
_ADDRESS_PATTERNS: tuple[tuple[str, str, str], ...] = (
    (r"ocid1\.datasciencemodeldeployment.*", _DEPLOYMENT, "the OCID of a model deployment"),
    (r"https?://.*/ocid1\.datasciencemodeldeployment.*", _DEPLOYMENT, "a model deployment's OCID in the URL"),
    (r"https?://(modeldeployment|md\.datascience)\..*", _DEPLOYMENT, "a host of model deployments"),
    (
        r"(?P<model>ocid1\.generativeaiendpoint\.[a-z0-9]+\.(?P<region>[a-z0-9-]*)\..*)",
        _GENAI,
        "the OCID of a dedicated endpoint",
    ),
    (
        r"(?P<url>https?://(inference\.)?generativeai\.(?P<region>[a-z0-9-]+)\.oci\..*)",
        _GENAI,
        "a host of OCI Generative AI",
    ),
    (r"(?P<url>https?://.*/(20231130|openai/v1)(/.*)?)", _GENAI, "a path of OCI Generative AI"),
    (
        rf"arn:aws[a-z-]*:sagemaker:(?P<region>[a-z0-9-]+):[0-9]*:endpoint/{_NAME}",
        _SAGEMAKER,
        "the ARN of a SageMaker endpoint",
    ),
    (
        rf"(?P<url>https?://runtime(-fips)?\.sagemaker(-fips)?\.(?P<region>[a-z0-9-]+)\.[^/]+)/endpoints/{_NAME}(/.*)?",
        _SAGEMAKER,
        "a host of SageMaker",
    ),
    (rf"{_URL}/endpoints/{_NAME}(/invocations.*)?", _SAGEMAKER, "/endpoints/ in the path"),
    (r"(https|http|wss|ws)://[^/]*modelarts.*", _MODELARTS, "a host of ModelArts"),
    (r"(https|http|wss|ws)://[^/]+/(v1/infers|maas)/.*", _MODELARTS, "a path of ModelArts"),
    (r"wss?://.*", _MODELARTS, "a WebSocket, which only ModelArts speaks"),
)

#: How an ENDPOINT is read when only `--platform` says whose it is; the first that fits.
_PATTERNS_BY_PLATFORM: Mapping[str, tuple[str, ...]] = {
    _DEPLOYMENT: (r".*",),
    _GENAI: (r"(?P<url>https?://.*)", r"(?P<region>[a-z]{2}(-[a-z]+)+-[0-9]+|[a-z]{3})"),
    _SAGEMAKER: (_NAME,),
    _MODELARTS: (r".*",),
}

_UNKNOWN_ADDRESS = (
    "is no address that tells whose it is. It may be the OCID or URL of a model deployment, an https://inference."
    "generativeai.… URL, the name, ARN or …/endpoints/NAME URL of a SageMaker endpoint, or ModelArts' address; or say "
    "--platform"
)


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """What an ENDPOINT says.

    Attributes:
        endpoint: As it was given.
        platform: Whose it is: one of `PLATFORMS`.
        matched_by: By what that was known, in words.
        fields: What else stands in it: `url`, `region`, `name`, `model`.
    """

    endpoint: str
    platform: str
    matched_by: str
    fields: Mapping[str, str]


def parse_endpoint(endpoint: str, platform: str | None = None) -> EndpointInfo:
    """What an ENDPOINT means; `UsageError` says what it could be."""
    endpoint = endpoint.strip()
    for form, whose, sign in _ADDRESS_PATTERNS:
        match = re.fullmatch(form, endpoint)
        if match and platform in {None, whose}:
            return EndpointInfo(endpoint, whose, sign, _match_fields(match))
    if platform is None and (match := re.fullmatch(_NAME, endpoint)):
        return EndpointInfo(endpoint, _SAGEMAKER, "a bare name, as SageMaker's endpoints have", _match_fields(match))
    for form in _PATTERNS_BY_PLATFORM.get(platform or "", ()):
        if match := re.fullmatch(form, endpoint):
            return EndpointInfo(endpoint, platform or "", "--platform", _match_fields(match))
    if "@" in endpoint:
        raise UsageError(
            "ENDPOINT has a user or password before its host; give credentials with --api-key or --auth-type"
        )
    shown = re.split("[?#]", endpoint)[0]  # a query may hold a key
    raise UsageError(f"ENDPOINT {shown!r} {_UNKNOWN_ADDRESS if platform is None else f'is none of {platform}'}")


def _match_fields(match: re.Match[str]) -> dict[str, str]:
    return {name: value for name, value in match.groupdict().items() if value}


def build_platform(
    endpoint_info: EndpointInfo, options: Options, region: str | None = None, url: str | None = None
) -> Platform:
    """Where to ask.

    Args:
        endpoint_info: What ENDPOINT says.
        options: The command line.
        region: What the credentials say, where nothing else does.
        url: SageMaker's runtime there, by botocore's rules.

    Raises:
        Unusable: A part of the address is missing or wrong.
    """
    region = options.region or endpoint_info.fields.get("region") or region
    try:
        return _BUILDERS[endpoint_info.platform](endpoint_info, options, region, url)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _build_genai(endpoint_info: EndpointInfo, options: Options, region: str | None, _: str | None) -> Platform:
    if not options.compartment:
        raise UsageError("--compartment is missing: OCI Generative AI bills a compartment, ocid1.compartment.oc1..…")
    model = options.model or endpoint_info.fields.get("model")
    if not model:
        raise UsageError("--model is missing: a model's name such as xai.grok-4, or a dedicated endpoint's OCID")
    url = endpoint_info.fields.get("url")
    return OCIGenerativeAI(options.compartment, model, region, url)


_BUILDERS: Mapping[str, Callable[[EndpointInfo, Options, str | None, str | None], Platform]] = {
    _DEPLOYMENT: lambda endpoint_info, options, region, _: OCIModelDeployment(endpoint_info.endpoint, options.region),
    _GENAI: _build_genai,
    _SAGEMAKER: lambda endpoint_info, options, region, url: SageMaker(
        endpoint_info.fields["name"], region, endpoint_info.fields.get("url") or url
    ),
    _MODELARTS: lambda endpoint_info, options, region, _: ModelArts(endpoint_info.endpoint),
}
