"""Find the credentials: from the options, then from where each platform's own tools keep them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core.auth import UnsignedSigner, aws, huawei, oci
from mdstream_core.cli._endpoints import EndpointInfo
from mdstream_core.cli._options import MissingCredential, Options, UsageError, name_options
from mdstream_core.cli._platform_names import MODELARTS, OCI_GENAI, OCI_MODEL_DEPLOYMENT, SAGEMAKER
from mdstream_core.cli._secrets import read_secret
from mdstream_core.errors import ConnectionFailed, MDStreamError, split_hint

#: Environment variable with a bearer API key.
_API_KEY_VARIABLE = "MDSTREAM_API_KEY"

#: Authentication types of Huawei Cloud, with the environment variable of each field. The first complete one counts.
_HUAWEI_VARIABLES: Mapping[str, Mapping[str, str]] = {
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
#: Variables of the platforms' own tools. Their values are redacted from the output.
_SECRET_VARIABLES = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
    *("MODELARTS_API_KEY", "MAAS_API_KEY", _API_KEY_VARIABLE),
)
#: What to do if no credential of Huawei Cloud is found: the fields of the Python classes are variables here.
_HUAWEI_HINT = (
    "set --api-key, or variables such as HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, MODELARTS_TOKEN, "
    "or MODELARTS_USER, MODELARTS_PASSWORD, MODELARTS_DOMAIN and MODELARTS_PROJECT; --auth-type none signs no requests"
)
_NOT_SECRET = frozenset({"user", "domain", "project"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials and where they were found.

    Attributes:
        auth: The signer.
        source: Kind and origin of the credential, such as "an AWS key, AWS_ACCESS_KEY_ID in the environment".
        region: The credential's region, if it has one.
        url: URL of the SageMaker runtime as botocore resolves it; `None` on other platforms.
    """

    auth: Any
    source: str
    region: str | None = None
    url: str | None = None


def resolve_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    """Find the credentials for an endpoint.

    Raises:
        UsageError: The options contradict each other, or name something that does not exist.
        MissingCredential: No credential was found.
        MissingExtra: A Python package is missing.
        ConnectionFailed: A service that issues credentials was not reached.
    """
    for name in _SECRET_VARIABLES:
        options.add_secret(os.environ.get(name, "").strip())
    try:
        return _RESOLVERS[endpoint_info.platform](endpoint_info, options)
    except ConnectionFailed:
        raise
    except (MDStreamError, ValueError) as error:
        raise MissingCredential(name_options(str(error))) from None


def resolve_oci_signer(options: Options) -> Any:
    """Find the signer for a control plane of OCI, which accepts no API key of a model server.

    Raises:
        UsageError: `--api-key` is set.
        MissingCredential: No credential was found.
        MissingExtra: A Python package is missing.
    """
    if options.api_key:
        raise UsageError("--api-key cannot list model deployments (hint: use --profile or --auth-type)")
    try:
        return oci.resolve_signer(
            auth_type=options.auth_type, auth_profile=options.profile, auth_file_location=options.config_file
        )
    except ValueError as error:
        raise MissingCredential(name_options(str(error))) from None


def _oci_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    key, source = _bearer_credentials(options, {None, "bearer"})
    auth: Any = oci.resolve_signer(
        auth_type=options.auth_type, auth_profile=options.profile, auth_file_location=options.config_file, api_key=key
    )
    found = f"{auth.credential_source}, {source}" if key else auth.credential_source
    return Credentials(auth, found, None if key else getattr(auth, "region", None))


def _aws_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    if options.api_key:
        raise UsageError(
            "--api-key is not supported by sagemaker, which takes AWS keys "
            "(hint: use --profile, AWS_PROFILE or AWS_ACCESS_KEY_ID)"
        )
    if _auth_type(options) == "none":
        unsigned = UnsignedSigner()
        return Credentials(unsigned, unsigned.credential_source)
    if options.auth_type:
        raise UsageError(
            f"--auth-type {options.auth_type} is not supported by sagemaker "
            "(hint: omit it to use botocore's credential chain, or pass none)"
        )
    try:
        found = aws.resolve_connection(
            region_name=options.region or endpoint_info.fields.get("region"),
            endpoint_url=endpoint_info.fields.get("url"),
            credentials_profile_name=options.profile,
        )
    except ValueError as error:
        if "region_name is missing" in str(error):
            raise UsageError(
                "--region is missing, and neither ENDPOINT, AWS_REGION nor the profile has one "
                "(hint: pass the endpoint's region, such as us-east-1)"
            ) from None
        raise
    found.signer.refresh(found.signer.generation)  # the chain's source is known only afterwards
    return Credentials(found.signer, found.signer.credential_source, found.region_name, found.endpoint_url)


def _huawei_credentials(endpoint_info: EndpointInfo, options: Options) -> Credentials:
    kind = _auth_type(options)
    if kind is None or kind == "api_key":
        key, source = _bearer_credentials(options, {None, "api_key"})
        if key:
            return Credentials(huawei.resolve_signer(api_key=key), f"an API key, {source}")
    elif options.api_key:
        raise UsageError(f"--api-key and --auth-type {options.auth_type} exclude each other (hint: remove one of them)")
    kind = kind or next(
        (name for name, needed in _HUAWEI_VARIABLES.items() if all(map(os.environ.get, needed.values()))), None
    )
    variables = _HUAWEI_VARIABLES.get(kind or "", {})
    fields: dict[str, Any] = {name: os.environ.get(variable) for name, variable in variables.items()}
    if missing := [variables[name] for name, value in fields.items() if not value]:
        raise MissingCredential(
            f"--auth-type {kind}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set "
            "(hint: set the environment variable, or choose another --auth-type)"
        )
    for name in fields.keys() - _NOT_SECRET:
        options.add_secret(fields[name])
    try:
        auth: Any = huawei.resolve_signer(auth_type=kind, **fields)
    except ValueError as error:
        if kind is not None:
            raise
        raise MissingCredential(f"{split_hint(str(error))[0]} (hint: {_HUAWEI_HINT})") from None
    return Credentials(
        auth, f"{kind}, {' and '.join(variables.values())} in the environment" if fields else auth.credential_source
    )


def _bearer_credentials(options: Options, kinds: set[str | None]) -> tuple[str | None, str]:
    """Return the bearer API key and its source. The environment is read only if `kinds` has the authentication type."""
    if options.api_key:
        source = "standard input" if options.api_key == "-" else options.api_key
        return read_secret(options, options.api_key, "--api-key"), f"from {source}"
    is_applicable = _auth_type(options) in kinds and not (options.profile or options.config_file)
    if is_applicable and os.environ.get(_API_KEY_VARIABLE):
        key = read_secret(options, f"env:{_API_KEY_VARIABLE}", _API_KEY_VARIABLE)
        return key, f"{_API_KEY_VARIABLE} in the environment"
    return None, ""


def _auth_type(options: Options) -> str | None:
    return options.auth_type.strip().lower().replace("-", "_") if options.auth_type else None


_RESOLVERS: Mapping[str, Callable[[EndpointInfo, Options], Credentials]] = {
    OCI_MODEL_DEPLOYMENT: _oci_credentials,
    OCI_GENAI: _oci_credentials,
    SAGEMAKER: _aws_credentials,
    MODELARTS: _huawei_credentials,
}
