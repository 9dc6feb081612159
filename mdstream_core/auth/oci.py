"""Signers for Oracle Cloud Infrastructure (OCI). Importing this module imports neither `oci` nor `cryptography`.

API keys, session tokens and resource principal 2.2 are signed with `cryptography` alone (extra `oci-lite`). All other
principals, and any signer object, use the `oci` SDK (extra `oci`).
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

from mdstream_core._choices import find_choice
from mdstream_core.auth._names import OCIAuthTypeName
from mdstream_core.auth._oci_ads import find_ads_options
from mdstream_core.auth._oci_sdk import SDKSigner, WrappedSigner, build_sdk_signer, delegation_signer
from mdstream_core.auth._oci_signer import OCISigner, SourceSigner
from mdstream_core.auth._oci_sources import (
    APIKey,
    ConfigFields,
    CredentialSource,
    Profile,
    ResourcePrincipal,
    SessionToken,
)
from mdstream_core.auth._signer import AuthFlow, BearerSigner, Signer, UnsignedSigner
from mdstream_core.http import Timeout

__all__ = [
    "AuthFlow",
    "OCISigner",
    "SDKSigner",
    "SourceSigner",
    "WrappedSigner",
    "client_settings",
    "from_config",
    "instance_principal",
    "oke_workload",
    "resolve_region",
    "resolve_signer",
    "resource_principal",
    "wrap_signer",
]


_SOURCES: dict[str, Callable[[Profile | ConfigFields], CredentialSource]] = {
    "api_key": APIKey,
    "session_token": SessionToken,
}


def from_config(
    profile: str | None = None,
    file: str | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    kind: Literal["api_key", "session_token"] | None = None,
) -> Signer:
    """Create a signer from a profile of the OCI config file, or from a dict with the same fields.

    The files are read at once; token and key files are read again when they change.

    Args:
        profile: Name of the profile. Default: the environment variable `OCI_CLI_PROFILE`, else `OCI_CONFIG_PROFILE`,
            else `DEFAULT`.
        file: Path of the config file. Default: the environment variable `OCI_CONFIG_FILE`, else
            `OCI_CONFIG_LOCATION`, else `~/.oci/config`.
        config: The fields of a profile, instead of a file: `tenancy`, `user`, `fingerprint`, `region`, and `key_file`
            or `key_content`.
        kind: `"api_key"` or `"session_token"`. Default: a session token if the profile has `security_token_file`, else
            an API key; a profile with `authentication_type` (Cloud Shell) is passed to the `oci` SDK.

    Raises:
        ValueError: The profile or one of its fields is missing or malformed, or a file cannot be read.
        MissingExtra: `cryptography` is not installed.

    Example:
        >>> signer = from_config("CHICAGO", "~/.oci/config")  # doctest: +SKIP
    """
    settings = Profile.resolve(profile, file) if config is None else ConfigFields(config)
    if kind is None:
        fields = settings.fields()
        if isinstance(settings, Profile) and fields.get("authentication_type"):
            return delegation_signer(settings)
        kind = "session_token" if fields.get("security_token_file") else "api_key"
    return SourceSigner(_SOURCES[kind](settings))


def resource_principal() -> Signer:
    """Create a signer for the identity of the OCI resource that runs this process, such as a function or a notebook.

    Reads the environment variables `OCI_RESOURCE_PRINCIPAL_VERSION`, `…_RPST`, `…_PRIVATE_PEM`,
    `…_PRIVATE_PEM_PASSPHRASE` and `…_REGION`, which the platform sets. Version 2.2 needs `cryptography` only, other
    versions the `oci` SDK.

    Raises:
        ValueError: The environment has no resource principal.
        MissingExtra: `cryptography` or `oci` is not installed.

    Example:
        >>> signer = resource_principal()  # doctest: +SKIP
    """
    version = os.environ.get("OCI_RESOURCE_PRINCIPAL_VERSION")
    if not version:
        raise ValueError(
            "OCI_RESOURCE_PRINCIPAL_VERSION is not set, so there is no resource principal (hint: run this in a "
            "function, a notebook session, a job or another OCI resource with a principal, or choose another auth_type)"
        )
    if version == "2.2":
        return SourceSigner(ResourcePrincipal())
    return build_sdk_signer(f"resource principal {version}", "get_resource_principals_signer")


def instance_principal() -> Signer:
    """Create a signer for the identity of the OCI compute instance that runs this process, through the `oci` SDK.

    The SDK fetches a certificate from the instance's metadata service at the first request, not here.

    Raises:
        MissingExtra: `oci` is not installed.

    Example:
        >>> signer = instance_principal()  # doctest: +SKIP
    """
    return build_sdk_signer("instance principal", "InstancePrincipalsSecurityTokenSigner")


def oke_workload() -> Signer:
    """Create a signer for the workload identity of a pod in an enhanced OKE cluster, through the `oci` SDK.

    Raises:
        MissingExtra: `oci` is not installed.

    Example:
        >>> signer = oke_workload()  # doctest: +SKIP
    """
    return build_sdk_signer("OKE workload identity", "get_oke_workload_identity_resource_principal_signer")


def wrap_signer(auth: Any) -> Signer:
    """Create a signer from an `oci` signer, a callable that signs a prepared request, or an `oracle-ads` dict.

    Args:
        auth: An `oci` signer such as `oci.signer.Signer(…)`, a callable that takes a `requests.PreparedRequest`, or
            the dict of `ads.common.auth.default_signer()`: `{"config": …, "signer": …}`, whose `config` is used if
            there is no `signer`. A `Signer` is returned unchanged.

    Raises:
        ValueError: `auth` is none of these, or the config of the dict is incomplete.

    Example:
        >>> wrap_signer(lambda prepared: prepared)
        <WrappedSigner function>
    """
    if isinstance(auth, Mapping):
        if auth.get("signer") is not None:
            return wrap_signer(auth["signer"])
        return from_config(config=auth.get("config") or auth)
    if isinstance(auth, Signer):
        return auth
    if not isinstance(auth, type) and (callable(auth) or hasattr(auth, "do_request_sign")):
        return WrappedSigner(auth)
    raise ValueError(
        f"auth has the type {type(auth).__name__}, which cannot sign requests (hint: pass a signer of mdstream_core."
        "auth or the oci SDK, an oracle-ads dict {'config': …, 'signer': …}, an httpx.Auth, or a callable that signs a "
        "prepared request; pass an API key as api_key)"
    )


def resolve_signer(
    auth: Any = None,
    *,
    auth_type: str | None = None,
    auth_profile: str | None = None,
    auth_file_location: str | None = None,
    api_key: str | None = None,
) -> Signer | AuthFlow:
    """Create the signer for the `auth…` fields of a model.

    The first of these that is set is used: `auth`; `auth_type`; `api_key`; `auth_profile` or `auth_file_location`; the
    choice of `ads.set_auth`, if the program has imported oracle-ads; the environment variable `OCI_IAM_TYPE` (an
    `auth_type`, as in oracle-ads); the resource principal of the environment; the config file, as a session token or an
    API key.

    Args:
        auth: A signer, an `oci` signer, an `httpx.Auth`, a callable or an `oracle-ads` dict; see `wrap_signer`. An
            empty dict is ignored.
        auth_type: `"api_key"` (a signing key of the config file), `"session_token"` or `"security_token"`,
            `"resource_principal"`, `"instance_principal"`, `"oke_workload"` or `"workload_identity"`, `"bearer"`
            or `"none"`. Case and hyphens do not matter: `"API_KEY"`, `"resource-principal"`.
        auth_profile: Profile of the config file; default: see `from_config`.
        auth_file_location: Path of the config file; default: see `from_config`.
        api_key: A bearer token, for `auth_type="bearer"` or without `auth_type`.

    Returns:
        The signer; `auth` itself if it is an `httpx.Auth`.

    Raises:
        ValueError: No credential was found, a field is unknown or malformed, or two fields exclude each other.
        MissingExtra: The package that the chosen `auth_type` needs is not installed.

    Example:
        >>> resolve_signer(api_key="sk-1234")
        <BearerSigner>
        >>> resolve_signer(auth_type="none")
        <UnsignedSigner>
    """
    if auth is not None and auth != {}:
        return auth if isinstance(auth, AuthFlow) else wrap_signer(auth)
    if auth_type is None and api_key is None and auth_profile is None and auth_file_location is None:
        if options := find_ads_options():
            return resolve_signer(**options)
        auth_type = os.environ.get("OCI_IAM_TYPE") or None
    if auth_type is None:
        return BearerSigner(api_key) if api_key is not None else _find_signer(auth_profile, auth_file_location)
    name = find_choice("auth_type", auth_type, _BY_TYPE)
    if api_key is not None and name != "bearer":
        raise ValueError(
            f"api_key and auth_type {auth_type!r} exclude each other, because api_key is sent as a bearer token "
            "(hint: remove one of them)"
        )
    return _BY_TYPE[name](auth_profile, auth_file_location, api_key)


def resolve_region(
    auth: Any = None, *, auth_profile: str | None = None, auth_file_location: str | None = None
) -> str | None:
    """Find the region that belongs to a credential, for models without an explicit region.

    Looks at the signer or dict in `auth`, the choice of `ads.set_auth`, the environment variable
    `OCI_RESOURCE_PRINCIPAL_REGION`, the profile of the config file, and the environment variable `OCI_REGION`, in this
    order.

    Args:
        auth: A signer, or a dict with `region`, `config` or `signer`.
        auth_profile: Profile of the config file; default: see `from_config`.
        auth_file_location: Path of the config file; default: see `from_config`.

    Returns:
        A region such as `"us-chicago-1"`, or `None` if none is known.

    Raises:
        ValueError: The given profile or file does not exist.

    Example:
        >>> resolve_region({"region": "us-chicago-1"})
        'us-chicago-1'
    """
    if isinstance(auth, Mapping):
        auth = auth.get("signer") or auth.get("config") or auth
    if auth is not None and auth != {}:
        region = auth.get("region") if isinstance(auth, Mapping) else getattr(auth, "region", None)
        return region if isinstance(region, str) else None
    is_explicit = auth_profile is not None or auth_file_location is not None
    if not is_explicit and (region := _ads_region()):
        return region
    if not is_explicit and (region := os.environ.get("OCI_RESOURCE_PRINCIPAL_REGION")):
        return region
    settings = Profile.resolve(auth_profile, auth_file_location)
    region = settings.fields().get("region") if is_explicit or settings.exists() else None
    return region or os.environ.get("OCI_REGION")


def _ads_region() -> str | None:
    """Return the region that belongs to the choice of `ads.set_auth`."""
    options = find_ads_options() or {}
    options.pop("auth_type", None)
    return resolve_region(**options) if options else None


#: The SDK's default connect and read timeouts in seconds (`oci/base_client.py`): too short for a reasoning model.
_SDK_TIMEOUT = (10.0, 60.0)


def client_settings(client: Any) -> dict[str, Any]:
    """Read signer, endpoint and timeouts of a client of the `oci` SDK.

    Args:
        client: A `GenerativeAiInferenceClient`.

    Returns:
        The fields `auth`, `service_endpoint` and `timeout`. A timeout that is the SDK's default is left out, so that
        the platform's own default is used.

    Raises:
        ValueError: `client` is no client of the SDK.

    Example:
        >>> client_settings(GenerativeAiInferenceClient(config))["service_endpoint"]  # doctest: +SKIP
        'https://inference.generativeai.us-chicago-1.oci.oraclecloud.com'
    """
    base = getattr(client, "base_client", None)
    if base is None:
        raise ValueError(
            f"client has the type {type(client).__name__}, not GenerativeAiInferenceClient of the oci SDK "
            "(hint: pass oci.generative_ai_inference.GenerativeAiInferenceClient(…))"
        )
    limits = base.timeout if isinstance(base.timeout, tuple) else (base.timeout, base.timeout)
    values = zip(("connect", "read"), limits, _SDK_TIMEOUT, strict=True)
    changed = {name: limit for name, limit, default in values if limit is not None and limit != default}
    return {"auth": base.signer, "service_endpoint": base.endpoint, "timeout": Timeout(**changed)}


def _bearer_signer(_profile: str | None, _file: str | None, api_key: str | None) -> Signer:
    if api_key is None:
        raise ValueError("auth_type 'bearer' needs an api_key (hint: set api_key, or choose another auth_type)")
    return BearerSigner(api_key)


_BY_TYPE: dict[OCIAuthTypeName, Callable[[str | None, str | None, str | None], Signer]] = {
    "api_key": lambda profile, file, _: from_config(profile, file, kind="api_key"),
    "session_token": lambda profile, file, _: from_config(profile, file, kind="session_token"),
    "security_token": lambda profile, file, _: from_config(profile, file, kind="session_token"),
    "resource_principal": lambda *_: resource_principal(),
    "instance_principal": lambda *_: instance_principal(),
    "oke_workload": lambda *_: oke_workload(),
    "oke_workload_identity": lambda *_: oke_workload(),
    "workload_identity": lambda *_: oke_workload(),
    "bearer": _bearer_signer,
    "none": lambda *_: UnsignedSigner(),
}


def _find_signer(profile: str | None, file: str | None) -> Signer:
    is_explicit = profile is not None or file is not None
    if not is_explicit and os.environ.get("OCI_RESOURCE_PRINCIPAL_VERSION"):
        return resource_principal()
    settings = Profile.resolve(profile, file)
    if is_explicit or settings.exists():
        return from_config(profile, file)
    raise ValueError(
        "no OCI credential found: no api_key, no resource principal (OCI_RESOURCE_PRINCIPAL_VERSION), no config file "
        f"{settings.file} (hint: run 'oci setup config' or 'oci session authenticate', set OCI_CONFIG_FILE, "
        f"pass a signer as auth, or set auth_type to one of {', '.join(_BY_TYPE)})"
    )
