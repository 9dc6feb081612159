"""Signers for Oracle Cloud Infrastructure. Importing this imports neither `oci` nor `cryptography`.

API keys, session tokens and resource principal 2.2 are signed here, with `cryptography` alone; every other principal,
and any signer object, through the `oci` SDK's own.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from mdstream_core._choices import find_choice
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
from mdstream_core.auth._signer import BearerSigner, Signer, UnsignedSigner
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


@runtime_checkable
class AuthFlow(Protocol):
    """`httpx.Auth` and `httpx2.Auth`, by their shape."""

    def auth_flow(self, request: Any) -> Any: ...


#: The names of `auth_type`.
OCIAuthTypeName = Literal[
    "api_key",
    "session_token",
    "security_token",
    "resource_principal",
    "instance_principal",
    "oke_workload",
    "oke_workload_identity",
    "workload_identity",
    "bearer",
    "none",
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
    """A signer from a profile of the config file, or from the same fields as a dict.

    Args:
        profile: Default: `OCI_CLI_PROFILE`, `OCI_CONFIG_PROFILE`, `DEFAULT`.
        file: Default: `OCI_CONFIG_FILE`, `OCI_CONFIG_LOCATION`, `~/.oci/config`.
        config: The fields, instead of a file; may hold `key_content`.
        kind: `api_key` or `session_token`; default: what the fields speak of.
    """
    settings = Profile.resolve(profile, file) if config is None else ConfigFields(config)
    if kind is None:
        fields = settings.fields()
        if isinstance(settings, Profile) and fields.get("authentication_type"):
            return delegation_signer(settings)
        kind = "session_token" if fields.get("security_token_file") else "api_key"
    return SourceSigner(_SOURCES[kind](settings))


def resource_principal() -> Signer:
    """The identity of the OCI resource that we run in: version 2.2 here, the others through the SDK."""
    version = os.environ.get("OCI_RESOURCE_PRINCIPAL_VERSION")
    if not version:
        raise ValueError(
            "OCI_RESOURCE_PRINCIPAL_VERSION is not set, so this is no OCI resource with a principal of its own "
            "(a function, a notebook session, a job …): choose another auth_type"
        )
    if version == "2.2":
        return SourceSigner(ResourcePrincipal())
    return build_sdk_signer(f"resource principal {version}", "get_resource_principals_signer")


def instance_principal() -> Signer:
    """The identity of the OCI compute instance that we run on, through the SDK."""
    return build_sdk_signer("instance principal", "InstancePrincipalsSecurityTokenSigner")


def oke_workload() -> Signer:
    """The identity of a workload in an enhanced OKE cluster, through the SDK."""
    return build_sdk_signer("OKE workload identity", "get_oke_workload_identity_resource_principal_signer")


def wrap_signer(auth: Any) -> Signer:
    """A signer from an `oci` signer, a callable that takes a prepared request, or an `oracle-ads` dict.

    The dict (`ads.common.auth.default_signer()`) is `{"config": …, "signer": …}`; without a signer its config counts.
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
        f"auth is a {type(auth).__name__}: it must be a signer of mdstream_core.auth or of the oci SDK, an oracle-ads "
        "dict {'config': …, 'signer': …}, an httpx.Auth, or a callable that signs a prepared request; "
        "an API key goes into api_key"
    )


def resolve_signer(
    auth: Any = None,
    *,
    auth_type: str | None = None,
    auth_profile: str | None = None,
    auth_file_location: str | None = None,
    api_key: str | None = None,
) -> Signer | AuthFlow:
    """What a model's `auth…` fields mean. An `auth` object goes first, and an `httpx.Auth` is returned as it is.

    Without `auth` (an empty dict is none) and `auth_type`: an `api_key` is a bearer key; else a profile or file that
    was named; else `OCI_IAM_TYPE` in the environment, as oracle-ads reads it; else the resource principal of the
    environment; else the config file, as an API key or a session by its fields.
    """
    if auth is not None and auth != {}:
        return auth if isinstance(auth, AuthFlow) else wrap_signer(auth)
    if auth_type is None and api_key is None and auth_profile is None and auth_file_location is None:
        auth_type = os.environ.get("OCI_IAM_TYPE") or None
    if auth_type is None:
        return BearerSigner(api_key) if api_key is not None else _find_signer(auth_profile, auth_file_location)
    name = find_choice("auth_type", auth_type, _BY_TYPE)
    if api_key is not None and name != "bearer":
        raise ValueError(f"api_key is a bearer key and auth_type {auth_type!r} another way: drop one of them")
    return _BY_TYPE[name](auth_profile, auth_file_location, api_key)


def resolve_region(
    auth: Any = None, *, auth_profile: str | None = None, auth_file_location: str | None = None
) -> str | None:
    """The region of who signs, where nobody says which: the signer's, the resource principal's, the profile's.

    Raises:
        ValueError: The profile or the file that was named is not there.
    """
    if isinstance(auth, Mapping):
        auth = auth.get("signer") or auth.get("config") or auth
    if auth is not None and auth != {}:
        found = auth.get("region") if isinstance(auth, Mapping) else getattr(auth, "region", None)
        return found if isinstance(found, str) else None
    named = auth_profile is not None or auth_file_location is not None
    if not named and (principal := os.environ.get("OCI_RESOURCE_PRINCIPAL_REGION")):
        return principal
    settings = Profile.resolve(auth_profile, auth_file_location)
    written = settings.fields().get("region") if named or settings.exists() else None
    return written or os.environ.get("OCI_REGION")


#: To connect and to read, in seconds, where nobody chose (`oci/base_client.py`): too short for a model that thinks.
_SDK_TIMEOUT = (10.0, 60.0)


def client_settings(client: Any) -> dict[str, Any]:
    """Where, as whom and how patiently a client of the `oci` SDK asks: `auth`, `service_endpoint` and `timeout`.

    Args:
        client: A `GenerativeAiInferenceClient`.

    Raises:
        ValueError: It is no client of the SDK's.
    """
    base = getattr(client, "base_client", None)
    if base is None:
        raise ValueError(f"client is a {type(client).__name__}, not an oci GenerativeAiInferenceClient")
    limits = base.timeout if isinstance(base.timeout, tuple) else (base.timeout, base.timeout)
    given = zip(("connect", "read"), limits, _SDK_TIMEOUT, strict=True)
    named = {name: limit for name, limit, default in given if limit is not None and limit != default}
    return {"auth": base.signer, "service_endpoint": base.endpoint, "timeout": Timeout(**named)}


def _bearer_signer(_profile: str | None, _file: str | None, api_key: str | None) -> Signer:
    if api_key is None:
        raise ValueError("auth_type 'bearer' needs an api_key")
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
    named = profile is not None or file is not None
    if not named and os.environ.get("OCI_RESOURCE_PRINCIPAL_VERSION"):
        return resource_principal()
    settings = Profile.resolve(profile, file)
    if named or settings.exists():
        return from_config(profile, file)
    raise ValueError(
        "no OCI credential found: no api_key, no resource principal (OCI_RESOURCE_PRINCIPAL_VERSION), no config file "
        f"{settings.file}. Run 'oci setup config' or 'oci session authenticate', set OCI_CONFIG_FILE, "
        f"pass auth=<a signer>, or set auth_type to one of {', '.join(_BY_TYPE)}"
    )
