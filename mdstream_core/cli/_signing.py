"""Who signs what is asked from the command line: the options, and what each platform's own tools read."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core.auth import Unsigned, aws, huawei, oci
from mdstream_core.cli._parser import MissingCredential, Options, Unusable
from mdstream_core.cli._places import Place
from mdstream_core.cli._secrets import secret
from mdstream_core.errors import ConnectionFailed, MDStreamError

#: The environment variable of a bearer key.
_KEY = "MDSTREAM_API_KEY"

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
_OTHERS = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"),
    *("MODELARTS_API_KEY", "MAAS_API_KEY", _KEY),
)
#: What fields of the classes are called here.
_OPTIONS = {
    "auth_profile": "--profile",
    "auth_type": "--auth-type",
    "auth_file_location": "--config-file",
    "credentials_profile_name": "--profile",
    "api_key": "--api-key",
}
_FIELDS = re.compile(rf"\b({'|'.join(_OPTIONS)})\b(?!=')")

_NO_SECRETS = frozenset({"user", "domain", "project"})


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs.

    Attributes:
        auth: The signer.
        found: What it signs with and where that was found, in words.
        region: Where the credential belongs, if it says so.
        url: SageMaker's runtime there, by botocore's rules.
    """

    auth: Any
    found: str
    region: str | None = None
    url: str | None = None


def signing(place: Place, options: Options) -> Signing:
    """Who signs for a place.

    Raises:
        Unusable: The options contradict each other, or name what is not there.
        MissingCredential: Nothing was found.
        MissingExtra: A package is missing.
    """
    for name in _OTHERS:
        options.hide(os.environ.get(name, "").strip())
    try:
        return _SIGNERS[place.platform](place, options)
    except ConnectionFailed:  # a service that gives out credentials was not reached
        raise
    except (MDStreamError, ValueError) as error:
        raise MissingCredential(_FIELDS.sub(lambda name: _OPTIONS[name[0]], str(error))) from None


def _oci(place: Place, options: Options) -> Signing:
    key, source = _bearer(options, {None, "bearer"})
    auth: Any = oci.signer(
        auth_type=options.auth_type, auth_profile=options.profile, auth_file_location=options.config_file, api_key=key
    )
    found = f"{auth.origin}, {source}" if key else auth.origin
    return Signing(auth, found, None if key else getattr(auth, "region", None))


def _aws(place: Place, options: Options) -> Signing:
    if options.api_key:
        raise Unusable(
            "--api-key: SageMaker takes AWS keys, not bearer keys; see --profile, AWS_PROFILE, AWS_ACCESS_KEY_ID"
        )
    if _kind(options) == "none":
        unsigned = Unsigned()
        return Signing(unsigned, unsigned.origin)
    if options.auth_type:
        raise Unusable("--auth-type: for SageMaker it is none, or left out: botocore's chain finds the credentials")
    try:
        found = aws.connect(
            region_name=options.region or place.fields.get("region"),
            endpoint_url=place.fields.get("url"),
            credentials_profile_name=options.profile,
        )
    except ValueError as error:
        if "region_name is missing" in str(error):
            raise Unusable("--region is missing: neither ENDPOINT nor AWS_REGION nor the profile says it") from None
        raise
    found.signer.refresh(found.signer.generation)  # the chain says only then what it found
    return Signing(found.signer, found.signer.origin, found.region_name, found.endpoint_url)


def _huawei(place: Place, options: Options) -> Signing:
    kind = _kind(options)
    if kind is None or kind == "api_key":
        key, source = _bearer(options, {None, "api_key"})
        if key:
            return Signing(huawei.signer(api_key=key), f"an API key, {source}")
    kind = kind or next((way for way, needs in _HUAWEI.items() if all(map(os.environ.get, needs.values()))), None)
    variables = _HUAWEI.get(kind or "", {})
    fields: dict[str, Any] = {name: os.environ.get(variable) for name, variable in variables.items()}
    if missing := [variables[name] for name, value in fields.items() if not value]:
        raise MissingCredential(f"--auth-type {kind} reads {' and '.join(missing)}, which is not set")
    for name in fields.keys() - _NO_SECRETS:
        options.hide(fields[name])
    auth: Any = huawei.signer(auth_type=kind, **fields)
    return Signing(auth, f"{kind}, {' and '.join(variables.values())} in the environment" if fields else auth.origin)


def _bearer(options: Options, kinds: set[str | None]) -> tuple[str | None, str]:
    """A bearer key and where it was, if one is given or `kinds` has the way to sign that was chosen."""
    if options.api_key:
        shown = "standard input" if options.api_key == "-" else options.api_key
        return secret(options, options.api_key, "--api-key"), f"from {shown}"
    if _kind(options) in kinds and not (options.profile or options.config_file) and os.environ.get(_KEY):
        return secret(options, f"env:{_KEY}", _KEY), f"{_KEY} in the environment"
    return None, ""


def _kind(options: Options) -> str | None:
    return options.auth_type.strip().lower().replace("-", "_") if options.auth_type else None


_SIGNERS: Mapping[str, Callable[[Place, Options], Signing]] = {
    "oci-model-deployment": _oci,
    "oci-genai": _oci,
    "sagemaker": _aws,
    "modelarts": _huawei,
}
