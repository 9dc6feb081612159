"""Signers for Amazon Web Services (AWS): Signature Version 4 and the credential chain of botocore (extra `aws`).

botocore is imported on first use. Credentials are fetched in `refresh`, never in `sign` and never in
a constructor, because the chain may send requests (assumed roles, SSO, containers, instances).
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mdstream_core import _fork
from mdstream_core._addresses import check_name
from mdstream_core.auth._aws_logs import SOURCE_NAMES, seconds_until_expiry, without_credentials_in_logs
from mdstream_core.auth._aws_signature import SigningKey, sign_headers
from mdstream_core.auth._dates import format_basic_date
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

#: Credentials are fetched again this many seconds before they expire. With botocore's 15 minutes the shortest
#: sessions, which last 15 minutes, would be renewed at every request.
_MARGIN = 300

#: The files that the chain reads, by the environment variable that overrides each (botocore/configprovider.py).
_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}

_LOGIN_HINT = (
    "(hint: run 'aws sts get-caller-identity' with this profile; after a session has expired, 'aws sso login')"
)


class MissingCredentials(AuthenticationError, ValueError):
    """No AWS credentials were found; the message lists the sources that were searched."""


class AWSSigner(Signer):
    """Signs requests with AWS Signature Version 4.

    Create it with `resolve_connection` or `AWSSigner.from_keys`, or from a function that returns botocore credentials.

    Args:
        region_name: The region of the signature, such as `us-east-1`.
        find_credentials: Returns botocore credentials, or `None` if there are none. Called at the first refresh; may
            wait for the network.
        name: The signing name of the service. Default: `sagemaker`, which is that of the SageMaker runtime too
            (botocore, `signingName`).
        credentials: botocore credentials to use first. Default: none.
        reload_credentials: Whether a later call of `find_credentials` can return other credentials. Default: false.
        clock: Returns the time in seconds since 1970, for the signature. Default: `time.time`.

    Raises:
        ValueError: `region_name` is malformed.

    Example:
        >>> AWSSigner("us-east-1", lambda: boto3.Session().get_credentials())
        <AWSSigner sagemaker us-east-1>
    """

    #: Seconds; botocore retries its metadata and token services within this time.
    refresh_timeout = 60.0

    returns_cached = True  # by botocore, and by the files and services that it reads

    def __init__(
        self,
        region_name: str,
        find_credentials: Callable[[], Any],
        *,
        name: str = "sagemaker",
        credentials: Any = None,
        reload_credentials: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._signing_key: SigningKey | None = None
        self.region_name = check_name("region_name", region_name, "aws signing region")
        self._find_credentials = find_credentials
        self._name = name
        self._reload_credentials = reload_credentials
        self._credentials = credentials
        self._frozen = (
            None if credentials is None or _is_refreshable(credentials) else credentials.get_frozen_credentials()
        )
        self._reload_next = False

    def reset_after_fork(self) -> None:
        """Replace also the lock of botocore's credentials, which another thread of the parent may hold."""
        super().reset_after_fork()
        _fork.replace_locks(getattr(self, "_credentials", None))

    def is_rejection(self, error: BaseException) -> bool:
        """Whether a token service rejected a login. An error of this machine needs no pause before the next attempt."""
        return super().is_rejection(error) and getattr(error, "code", None) is not None

    def source_state(self) -> object:
        """The state of the files and variables that the chain reads, so that a corrected key is used at once."""
        files = (os.environ.get(name) or default for name, default in _FILES.items())
        stamps = [_stamp(Path(file).expanduser()) for file in files]
        return stamps, hash(tuple((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))

    @classmethod
    def from_keys(
        cls,
        access_key: str,
        secret_key: str,
        token: str | None = None,
        *,
        region_name: str,
        clock: Callable[[], float] = time.time,
    ) -> "AWSSigner":
        """Create a signer with an access key.

        Args:
            access_key: The access key id, such as `AKIAIOSFODNN7EXAMPLE`.
            secret_key: The secret access key.
            token: The session token of temporary credentials. Default: none.
            region_name: The region of the signature, such as `us-east-1`.
            clock: Returns the time in seconds since 1970, for the signature. Default: `time.time`.

        Raises:
            ValueError: `region_name` is malformed.
            MissingExtra: botocore is not installed.

        Example:
            >>> AWSSigner.from_keys("AKIAIOSFODNN7EXAMPLE", "secret", region_name="us-east-1")
            <AWSSigner sagemaker us-east-1 explicit>
        """
        with _require_botocore():
            from botocore.credentials import Credentials  # type: ignore[import-untyped]  # noqa: PLC0415
        credentials = Credentials(access_key, secret_key, token)
        return cls(region_name, lambda: credentials, credentials=credentials, clock=clock)

    @property
    def credential_source(self) -> str:
        """The source that botocore reports, which is known after the first refresh only."""
        if not self._credentials:
            return "botocore's credential chain, not searched yet"
        method = getattr(self._credentials, "method", None) or "explicit"
        return f"an AWS key, {SOURCE_NAMES.get(method, method)}"

    @property
    def expires_in(self) -> float | None:
        return seconds_until_expiry(self._credentials)

    def sign(self, request: Request) -> Request:
        """Add the headers `authorization`, `x-amz-date` and, for temporary credentials, `x-amz-security-token`."""
        if self._frozen is None:  # the caller did not check `needs_refresh()`
            self.refresh(self.generation)
        timestamp = format_basic_date(int(self._clock()))
        headers = sign_headers(request, self._find_key(self._frozen, timestamp[:8]), timestamp)
        return Request(request.method, request.url, headers, request.content)

    def _find_key(self, credentials: Any, date: str) -> SigningKey:
        """Return the key of the day; it is derived again if the credentials were fetched again."""
        key = self._signing_key
        if key is None or key.credentials is not credentials or key.date != date:
            key = self._signing_key = SigningKey(credentials, date, self.region_name, self._name)
        return key

    def needs_refresh(self) -> bool:
        return self._frozen is None or (
            _is_refreshable(self._credentials) and self._credentials.refresh_needed(_MARGIN)
        )

    def can_refresh(self) -> bool:
        return self._frozen is not None and (self._reload_credentials or _is_refreshable(self._credentials))

    def fetch_credential(self) -> None:
        with _map_exceptions(self), without_credentials_in_logs():
            was_rejected = not self.needs_refresh()  # by the service, although it has not expired
            if self._credentials is None or was_rejected or self._reload_next:
                credentials = self._find_credentials() or (self._credentials if self._reload_next else None)
                if credentials is None:
                    raise MissingCredentials(_missing_credentials())
                self._credentials = credentials
            self._signing_key = None
            try:
                self._frozen = self._credentials.get_frozen_credentials()
            except BaseException:
                self._reload_next = True  # the files that they were read from may be corrected
                raise
            self._reload_next = False

    def __repr__(self) -> str:
        method = getattr(self._credentials, "method", None)
        return f"<{type(self).__name__} {self._name} {self.region_name}{f' {method}' if method else ''}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        if not (self._reload_credentials and isinstance(self._find_credentials, partial)):
            return super().__reduce__()
        return partial(type(self), name=self._name, reload_credentials=True), (self.region_name, self._find_credentials)


@dataclass(frozen=True, slots=True)
class AWSConnection:
    """Signer, region and endpoint: the result of `resolve_connection`.

    Attributes:
        signer: The signer, for `auth=`.
        region_name: The region, such as `us-east-1`.
        endpoint_url: The URL of the SageMaker runtime, such as `https://runtime.sagemaker.us-east-1.amazonaws.com`.
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
    """Create signer, region and endpoint for the AWS fields of a model. Credentials are fetched at the first request.

    The first of these that is set gives the credentials: the access key; `client`; `boto3_session`; else botocore's
    chain for the profile (environment, roles, SSO, `~/.aws` files, container, instance).

    Args:
        region_name: A region such as `us-east-1`. Default: the region of `client`, of `boto3_session`, of the
            environment variable `AWS_DEFAULT_REGION` or of the profile.
        endpoint_url: URL of the service. Default: that of `client`, else that of botocore's endpoint rules and settings
            (`AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME`, `AWS_USE_FIPS_ENDPOINT` …).
        credentials_profile_name: A profile of `~/.aws/config` or `~/.aws/credentials`. Default: the environment
            variable `AWS_PROFILE`, else `default`.
        aws_access_key_id: An access key id; needs `aws_secret_access_key`.
        aws_secret_access_key: The secret access key.
        aws_session_token: The session token of temporary credentials.
        boto3_session: A `boto3.Session` with region and credentials.
        client: A boto3 client `sagemaker-runtime` with region, endpoint and credentials.
        use_fips_endpoint: Whether to use a FIPS endpoint. Default: botocore's setting.

    Raises:
        ValueError: Fields contradict each other, a profile does not exist, or the region is missing or malformed.
        MissingExtra: botocore is not installed.

    Example:
        >>> keys = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "secret"}
        >>> resolve_connection(region_name="eu-central-1", **keys).endpoint_url
        'https://runtime.sagemaker.eu-central-1.amazonaws.com'
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
    create_client = session.create_client if boto3_session is None else boto3_session.client
    url = endpoint_url or _find_endpoint(create_client, region, use_fips_endpoint)
    if keys[0] is not None:
        signer = AWSSigner.from_keys(str(keys[0]), str(keys[1]), keys[2], region_name=region)
    elif client is not None:
        signer = AWSSigner(region, client._get_credentials)  # botocore has no public method
    elif boto3_session is not None:
        signer = AWSSigner(region, boto3_session.get_credentials)
    else:
        signer = AWSSigner(region, partial(_credential_chain, credentials_profile_name), reload_credentials=True)
    return AWSConnection(signer, region, url)


def _check_keys(id: str | None, secret: str | None, token: str | None) -> None:
    if bool(id) != bool(secret) or (token and not id):
        raise ValueError(
            "aws_access_key_id, aws_secret_access_key and aws_session_token are incomplete (hint: set "
            "aws_access_key_id and aws_secret_access_key, and for temporary credentials aws_session_token too)"
        )


def _session(profile: str | None) -> Any:
    import botocore.session  # noqa: PLC0415

    session = botocore.session.Session(profile=profile)
    if profile is not None and profile not in session.available_profiles:
        known = ", ".join(map(repr, session.available_profiles))
        hint = f"use one of these profiles: {known}" if known else "create it with 'aws configure --profile NAME'"
        raise ValueError(
            f"credentials_profile_name={profile!r} is neither in ~/.aws/config nor in ~/.aws/credentials (hint: {hint})"
        )
    return session


def _credential_chain(profile: str | None) -> Any:
    """Search botocore's chain from its beginning; files are read again, and requests are sent again."""
    return _session(profile).get_credentials()


def _region(client: Any, boto3_session: Any, session: Any) -> str:
    if client is not None:
        return str(client.meta.region_name)
    region = getattr(boto3_session, "region_name", None) or session.get_config_variable("region")
    if not region:
        raise ValueError(
            "region_name is missing: it is neither in AWS_DEFAULT_REGION nor in the profile of ~/.aws/config "
            "(hint: set region_name, such as 'us-east-1')"
        )
    return str(region)


def _find_endpoint(create_client: Callable[..., Any], region: str, fips: bool | None) -> str:
    """The endpoint URL of a botocore client; the client is unsigned, so that it does not search for credentials."""
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]  # noqa: PLC0415

    config = Config(signature_version=UNSIGNED, use_fips_endpoint=fips)
    try:
        return str(create_client("sagemaker-runtime", region_name=region, config=config).meta.endpoint_url)
    except (BotoCoreError, ValueError) as error:
        raise ValueError(
            f"region_name={region!r}: botocore has no endpoint for this region: {error} "
            "(hint: check region_name, or set endpoint_url)"
        ) from error


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _is_refreshable(credentials: Any) -> bool:
    """Whether botocore can refresh these credentials."""
    return hasattr(credentials, "refresh_needed")


def _missing_credentials() -> str:
    return (
        "no AWS credentials were found. Searched, in botocore's order: AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, "
        "the profile's role, web identity, SSO and login, ~/.aws/credentials, credential_process and keys in "
        "~/.aws/config, the container's credentials (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI), the EC2 instance's role "
        "(hint: run 'aws configure' or 'aws sso login', or set credentials_profile_name, boto3_session, client or keys)"
    )


@contextmanager
def _require_botocore() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise MissingExtra("botocore", "aws") from None


@contextmanager
def _map_exceptions(signer: Signer) -> Iterator[None]:
    """Map botocore exceptions to mdstream errors."""
    from botocore import exceptions  # noqa: PLC0415

    try:
        yield
    except MDStreamError:
        raise
    except exceptions.ClientError as error:  # a token service rejected the request
        code, status = _parse_error(error.response)
        error_class = error_class_for_status(status) if status >= 429 else AuthenticationError
        message = f"{signer!r}: AWS returned no credentials: {error} {_LOGIN_HINT}"
        raise error_class(message, code=code, status=status) from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.MetadataRetrievalError) as error:
        message = f"{signer!r} could not connect to the service that issues credentials: {error}"
        raise ConnectionFailed(f"{message} (hint: check the network and the proxy)") from error
    except (exceptions.BotoCoreError, OSError, RuntimeError) as error:
        raise AuthenticationError(f"{signer!r} has no credentials: {error} {_LOGIN_HINT}") from error
    except SHAPE_ERRORS as error:  # botocore read a file or a response in an unexpected format
        name = type(error).__name__  # its message may quote the file
        raise AuthenticationError(
            f"{signer!r} has no credentials: they cannot be read: {name} (hint: check the files in ~/.aws)"
        ) from error


def _parse_error(response: Any) -> tuple[str | None, int]:
    """Error code and HTTP status of a token service's response, which botocore has parsed."""
    error, metadata = (response.get(name) for name in ("Error", "ResponseMetadata"))
    status = metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None
    code = error.get("Code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None, error_status(status) or 401
