"""Signers for Amazon Web Services: Signature Version 4 by botocore's signer, credentials by botocore's chain.

The only file that imports botocore, and late. Credentials that age (assumed roles, SSO, containers, instances) are
fetched in `refresh`, never while signing and never while a signer is built: the chain may ask the network.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mdstream_core import _fork
from mdstream_core._addresses import check_name
from mdstream_core.auth._aws_logs import without_credentials_in_logs
from mdstream_core.auth._signer import Signer
from mdstream_core.errors import (
    SHAPE_ERRORS,
    AuthenticationError,
    ConnectionFailed,
    MDStreamError,
    MissingExtra,
    error_class_for_status,
    error_status,
)
from mdstream_core.http import Request

#: Credentials are fetched again this many seconds before their end. botocore's own 15 minutes would renew the shortest
#: sessions, which last 15 minutes, for every request.
_MARGIN = 300

#: The headers that botocore signs for these services; whatever is added on the way does not spoil the signature.
_SIGNED_HEADERS = ("content-type", "x-amz-", "x-amzn-sagemaker-")


#: How botocore calls the places where it looks (botocore/credentials.py), and what these are.
_SOURCE_NAMES = {
    "explicit": "given",
    "env": "AWS_ACCESS_KEY_ID in the environment",
    "shared-credentials-file": "~/.aws/credentials",
    "config-file": "~/.aws/config",
    "sso": "an SSO session of ~/.aws/config",
    "assume-role": "a role of ~/.aws/config",
    "assume-role-with-web-identity": "a role by web identity",
    "container-role": "the container's role",
    "iam-role": "the EC2 instance's role",
}


#: Which files the chain reads: by the variable that names each (botocore/configprovider.py).
_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}


class MissingCredentials(AuthenticationError, ValueError):
    """No credentials were found; the message names the places that were searched."""


class AWSSigner(Signer):
    """Signs as AWS's services ask. Build it with `resolve_connection`, or:

    Args:
        region_name: The region that is signed for.
        find_credentials: Gives botocore credentials, or `None`; may ask the network.
        name: What is signed for: `sagemaker` for SageMaker's runtime too (botocore, `signingName`).
        credentials: Credentials that are at hand already.
        reload_credentials: Whether `find_credentials` can bring others than it brought before.
    """

    #: botocore's metadata and token services each have retries of their own.
    refresh_timeout = 60.0

    returns_cached = True  # by botocore, and in the files and services that it asks

    def __init__(
        self,
        region_name: str,
        find_credentials: Callable[[], Any],
        *,
        name: str = "sagemaker",
        credentials: Any = None,
        reload_credentials: bool = False,
    ) -> None:
        super().__init__()
        self.region_name = check_name("region_name", region_name, "aws signing region")
        self._find_credentials = find_credentials
        self._name = name
        self._reload_credentials = reload_credentials
        self._credentials = credentials
        self._frozen = (
            None if credentials is None or _is_refreshable(credentials) else credentials.get_frozen_credentials()
        )
        self._searches = False

    def reset_after_fork(self) -> None:
        """Give botocore's credentials a new lock too: another thread of the parent may hold it."""
        super().reset_after_fork()
        _fork.replace_locks(getattr(self, "_credentials", None))

    def is_rejection(self, error: BaseException) -> bool:
        """A token service rejected it. What is missing on this machine costs no login, and may be there next time."""
        return super().is_rejection(error) and getattr(error, "code", None) is not None

    def source_state(self) -> object:
        """What the chain reads of environment and files: a key that is corrected there is tried at once."""
        files = (os.environ.get(name) or default for name, default in _FILES.items())
        stamps = [_stamp(Path(file).expanduser()) for file in files]
        return stamps, hash(tuple((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))

    @classmethod
    def from_keys(cls, access_key: str, secret_key: str, token: str | None = None, *, region_name: str) -> "AWSSigner":
        """A signer with these keys."""
        with _require_botocore():
            from botocore.credentials import Credentials  # type: ignore[import-untyped]  # noqa: PLC0415
        found = Credentials(access_key, secret_key, token)
        return cls(region_name, lambda: found, credentials=found)

    @property
    def credential_source(self) -> str:
        """What botocore says of it; it knows only once it has looked."""
        method = getattr(self._credentials, "method", None) or "explicit"
        return (
            f"an AWS key, {_SOURCE_NAMES.get(method, method)}" if self._credentials else "AWS's chain, not searched yet"
        )

    def sign(self, request: Request) -> Request:
        """With the headers `authorization`, `x-amz-date` and, for temporary keys, `x-amz-security-token`."""
        from botocore.auth import SigV4Auth  # type: ignore[import-untyped]  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # noqa: PLC0415

        if self._frozen is None:  # a caller that did not ask `needs_refresh()`
            self.refresh(self.generation)
        signed = {name: value for name, value in request.headers.items() if name.startswith(_SIGNED_HEADERS)}
        asked = AWSRequest(request.method, request.url, headers=signed, data=request.content)
        with without_credentials_in_logs():
            SigV4Auth(self._frozen, self._name, self.region_name).add_auth(asked)
        added = {name.lower(): value for name, value in asked.headers.items()}
        return replace(request, headers={**request.headers, **added})

    def needs_refresh(self) -> bool:
        return self._frozen is None or (
            _is_refreshable(self._credentials) and self._credentials.refresh_needed(_MARGIN)
        )

    def can_refresh(self) -> bool:
        return self._frozen is not None and (self._reload_credentials or _is_refreshable(self._credentials))

    def fetch_credential(self) -> None:
        with _map_exceptions(self), without_credentials_in_logs():
            looks_good = not self.needs_refresh()  # and yet it was refused
            if self._credentials is None or looks_good or self._searches:
                found = self._find_credentials() or (self._credentials if self._searches else None)
                if found is None:
                    raise MissingCredentials(_missing_credentials())
                self._credentials = found
            try:
                self._frozen = self._credentials.get_frozen_credentials()
            except BaseException:
                self._searches = True  # the files that they come from may be corrected
                raise
            self._searches = False

    def __repr__(self) -> str:
        method = getattr(self._credentials, "method", None)
        return f"<{type(self).__name__} {self._name} {self.region_name}{f' {method}' if method else ''}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        if not (self._reload_credentials and isinstance(self._find_credentials, partial)):
            return super().__reduce__()
        return partial(type(self), name=self._name, reload_credentials=True), (self.region_name, self._find_credentials)


@dataclass(frozen=True, slots=True)
class AWSConnection:
    """Who signs, and where: what `resolve_connection` found.

    Attributes:
        signer: For `auth=`.
        region_name: The region.
        endpoint_url: Of SageMaker's runtime there, by botocore's rules.
    """

    signer: AWSSigner
    region_name: str
    endpoint_url: str


def resolve_connection(
    *,
    region_name: str | None = None,
    endpoint_url: str | None = None,
    credentials_profile_name: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_session_token: str | None = None,
    boto3_session: Any = None,
    client: Any = None,
    use_fips_endpoint: bool | None = None,
) -> AWSConnection:
    """What a model's AWS fields mean. No credential is fetched before the first request.

    Args:
        region_name: Default: the client's, the session's, the profile's, `AWS_DEFAULT_REGION`.
        endpoint_url: Default: the client's, or what botocore's endpoint rules say, with its settings
            (`AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME`, `AWS_USE_FIPS_ENDPOINT` …).
        credentials_profile_name: A profile of `~/.aws/config` or `~/.aws/credentials`.
        aws_access_key_id: A key, with its secret, and its token if it is temporary.
        aws_secret_access_key: Its secret.
        aws_session_token: Its token.
        boto3_session: A `boto3.WebSocketSession` as the source of region and credentials.
        client: A boto3 client `sagemaker-runtime` as the source of region, endpoint and credentials.
        use_fips_endpoint: Default: botocore's own setting.

    Raises:
        ValueError: The fields contradict each other, or a profile or the region is missing.
        MissingExtra: botocore is not installed.
    """
    keys = (aws_access_key_id, aws_secret_access_key, aws_session_token)
    _check_keys(*keys)
    with _require_botocore():
        import botocore.session  # type: ignore[import-untyped]  # noqa: F401, PLC0415
    session = _session(credentials_profile_name)
    region = region_name or _region(client, boto3_session, session)
    check_name("region_name", region, "aws signing region" if endpoint_url or client is not None else "aws region")
    if endpoint_url is None and client is not None:
        endpoint_url = str(client.meta.endpoint_url)
    make = session.create_client if boto3_session is None else boto3_session.client
    url = endpoint_url or _endpoint(make, region, use_fips_endpoint)
    if keys[0] is not None:
        signer = AWSSigner.from_keys(str(keys[0]), str(keys[1]), keys[2], region_name=region)
    elif client is not None:
        signer = AWSSigner(region, client._get_credentials)  # there is no public way
    elif boto3_session is not None:
        signer = AWSSigner(region, boto3_session.get_credentials)
    else:
        signer = AWSSigner(region, partial(_credential_chain, credentials_profile_name), reload_credentials=True)
    return AWSConnection(signer, region, url)


def _check_keys(id: str | None, secret: str | None, token: str | None) -> None:
    if bool(id) != bool(secret) or (token and not id):
        raise ValueError(
            "aws_access_key_id and aws_secret_access_key belong together, and aws_session_token goes with both"
        )


def _session(profile: str | None) -> Any:
    import botocore.session  # noqa: PLC0415

    session = botocore.session.Session(profile=profile)
    if profile is not None and profile not in session.available_profiles:
        known = ", ".join(map(repr, session.available_profiles)) or "none"
        raise ValueError(
            f"credentials_profile_name={profile!r} is neither in ~/.aws/config nor in ~/.aws/credentials; "
            f"there: {known}"
        )
    return session


def _credential_chain(profile: str | None) -> Any:
    """botocore's chain from its beginning: files are read again, services asked again."""
    return _session(profile).get_credentials()


def _region(client: Any, boto3_session: Any, session: Any) -> str:
    if client is not None:
        return str(client.meta.region_name)
    region = getattr(boto3_session, "region_name", None) or session.get_config_variable("region")
    if not region:
        raise ValueError(
            "region_name is missing: not given, not in AWS_DEFAULT_REGION, and not in the profile of ~/.aws/config"
        )
    return str(region)


def _endpoint(make: Callable[..., Any], region: str, fips: bool | None) -> str:
    """Where a client of botocore's would ask; being unsigned, it looks for no credentials."""
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]  # noqa: PLC0415

    config = Config(signature_version=UNSIGNED, use_fips_endpoint=fips)
    try:
        return str(make("sagemaker-runtime", region_name=region, config=config).meta.endpoint_url)
    except (BotoCoreError, ValueError) as error:
        raise ValueError(f"region_name={region!r}: botocore knows no endpoint there: {error}") from error


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _is_refreshable(credentials: Any) -> bool:
    """Whether these are botocore credentials that it can refresh."""
    return hasattr(credentials, "refresh_needed")


def _missing_credentials() -> str:
    return (
        "no AWS credentials were found. Searched, in botocore's order: AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, "
        "the profile's role, web identity, SSO and login, ~/.aws/credentials, credential_process and keys in "
        "~/.aws/config, the container's credentials (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI), the EC2 instance's role. "
        "Run 'aws configure' or 'aws sso login', or give credentials_profile_name, boto3_session, client or keys"
    )


@contextmanager
def _require_botocore() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise MissingExtra("botocore", "aws") from None


@contextmanager
def _map_exceptions(signer: Signer) -> Iterator[None]:
    """The wall between botocore's exceptions and ours."""
    from botocore import exceptions  # noqa: PLC0415

    try:
        yield
    except MDStreamError:
        raise
    except exceptions.ClientError as error:  # a token service refused
        code, status = _facts(error.response)
        kind = error_class_for_status(status) if status >= 429 else AuthenticationError
        raise kind(f"{signer!r} was refused its credentials: {error}", code=code, status=status) from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.MetadataRetrievalError) as error:
        raise ConnectionFailed(f"{signer!r} did not reach the service that gives its credentials: {error}") from error
    except (exceptions.BotoCoreError, OSError, RuntimeError) as error:
        raise AuthenticationError(f"{signer!r} has no credentials: {error}") from error
    except SHAPE_ERRORS as error:  # botocore read a file or an answer of another shape than it expects
        name = type(error).__name__  # its words may quote what was read
        raise AuthenticationError(f"{signer!r} has no credentials: they cannot be read ({name})") from error


def _facts(response: Any) -> tuple[str | None, int]:
    """Code and HTTP status of a token service's error response, as botocore hands it on."""
    error, metadata = (response.get(name) for name in ("Error", "ResponseMetadata"))
    status = metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None
    code = error.get("Code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None, error_status(status) or 401
