"""Who signs what is asked from the command line: the options, and what each platform's own tools read."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core.auth import UnsignedSigner, aws, huawei, oci
from mdstream_core.cli._endpoints import EndpointInfo
from mdstream_core.cli._parser import MissingCredential, Options, UsageError
from mdstream_core.cli._secrets import read_secret
from mdstream_core.errors import ConnectionFailed, MDStreamError

#: The environment variable of a bearer key.
_API_KEY_VARIABLE = "MDSTREAM_API_KEY"

#: What Huawei's ways to sign need, and the variables it is read from. The first that is there counts.
_HUAWEI: Mapping[str, Mapping[str, str]] = {
    "token": {"token": "MODELARTS_TOKEN"},
    "password": {
        "user": "MODELARTS_USER",
        "password": "MODELARTS_PASSWORD",
        "domain": "MODELARTS_DOMAIN",
        "project": "MODELARTS_PROJECT",
    },
    "appcode": {"app_code": "MODELARTS_APP_CODE"},
    "app": {"app_key": "MODELARTS_APP_KEY", "app_secret": "MODELARTS_APP_SECRET"},
}
#: What others' tools keep there: not ours to read, but nothing that is written may repeat it.
_SECRET_VARIABLES = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
    *("MODELARTS_API_KEY", "MAAS_API_KEY", _API_KEY_VARIABLE),
)
#: What fields of the classes are called here.
_OPTION_BY_FIELD = {
    "auth_profile": "--profile",
    "auth_type": "--auth-type",
    "auth_file_location": "--config-file",
    "credentials_profile_name": "--profile",
    "api_key": "--api-key",
}
_FIELDS = re.compile(rf"\b({'|'.join(_OPTION_BY_FIELD)})\b(?!=')")

_NOT_SECRET = frozenset({"user", "domain", "project"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs.

    Attributes:
        auth: The signer.
        source: What it signs with and where that was found, in words.
        region: Where the credential belongs, if it says so.
        url: SageMaker's runtime there, by botocore's rules.
    """

    auth: Any
    source: str
    region: str | None = None
    url: str | None = None


def resolve_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    """Who signs for a place.

    Raises:
        Unusable: The options contradict each other, or name what is not there.
        MissingCredential: Nothing was found.
        MissingExtra: A package is missing.
    """
    for name in _SECRET_VARIABLES:
        options.add_secret(os.environ.get(name, "").strip())
    try:
        return _RESOLVERS[endpoint_info.platform](endpoint_info, options)
    except ConnectionFailed:  # a service that gives out credentials was not reached
        raise
    except (MDStreamError, ValueError) as error:
        raise MissingCredential(_FIELDS.sub(lambda name: _OPTION_BY_FIELD[name[0]], str(error))) from None


def _oci_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    key, source = _bearer_credentials(options, {None, "bearer"})
    auth: Any = oci.resolve_signer(
        auth_type=options.auth_type, auth_profile=options.profile, auth_file_location=options.config_file, api_key=key
    )
    found = f"{auth.origin}, {source}" if key else auth.origin
    return Credentials(auth, found, None if key else getattr(auth, "region", None))


def _aws_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    if options.api_key:
        raise UsageError(
            "--api-key: SageMaker takes AWS keys, not bearer keys; see --profile, AWS_PROFILE, AWS_ACCESS_KEY_ID"
        )
    if _auth_type(options) == "none":
        unsigned = UnsignedSigner()
        return Credentials(unsigned, unsigned.credential_source)
    if options.auth_type:
        raise UsageError("--auth-type: for SageMaker it is none, or left out: botocore's chain finds the credentials")
    try:
        found = aws.resolve_connection(
            region_name=options.region or endpoint_info.fields.get("region"),
            endpoint_url=endpoint_info.fields.get("url"),
            credentials_profile_name=options.profile,
        )
    except ValueError as error:
        if "region_name is missing" in str(error):
            raise UsageError("--region is missing: neither ENDPOINT nor AWS_REGION nor the profile says it") from None
        raise
    found.signer.refresh(found.signer.generation)  # the chain says only then what it found
    return Credentials(found.signer, found.signer.credential_source, found.region_name, found.endpoint_url)


def _huawei_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    kind = _auth_type(options)
    if kind is None or kind == "api_key":
        key, source = _bearer_credentials(options, {None, "api_key"})
        if key:
            return Credentials(huawei.resolve_signer(api_key=key), f"an API key, {source}")
    kind = kind or next((way for way, needs in _HUAWEI.items() if all(map(os.environ.get, needs.values()))), None)
    variables = _HUAWEI.get(kind or "", {})
    fields: dict[str, Any] = {name: os.environ.get(variable) for name, variable in variables.items()}
    if missing := [variables[name] for name, value in fields.items() if not value]:
        raise MissingCredential(f"--auth-type {kind} reads {' and '.join(missing)}, which is not set")
    for name in fields.keys() - _NOT_SECRET:
        options.add_secret(fields[name])
    auth: Any = huawei.resolve_signer(auth_type=kind, **fields)
    return Credentials(
        auth, f"{kind}, {' and '.join(variables.values())} in the environment" if fields else auth.origin
    )


def _bearer_credentials(options: Options, kinds: set[str | None]) -> tuple[str | None, str]:
    """A bearer key and where it was, if one is given or `kinds` has the way to sign that was chosen."""
    if options.api_key:
        shown = "standard input" if options.api_key == "-" else options.api_key
        return read_secret(options, options.api_key, "--api-key"), f"from {shown}"
    if (
        _auth_type(options) in kinds
        and not (options.profile or options.config_file)
        and os.environ.get(_API_KEY_VARIABLE)
    ):
        return read_secret(
            options, f"env:{_API_KEY_VARIABLE}", _API_KEY_VARIABLE
        ), f"{_API_KEY_VARIABLE} in the environment"
    return None, ""


def _auth_type(options: Options) -> str | None:
    return options.auth_type.strip().lower().replace("-", "_") if options.auth_type else None


_RESOLVERS: Mapping[str, Callable[[EndpointInfo, Options], Credentials]] = {
    "oci-model-deployment": _oci_credentials,
    "oci-genai": _oci_credentials,
    "sagemaker": _aws_credentials,
    "modelarts": _huawei_credentials,
}
