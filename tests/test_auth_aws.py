"""AWS signatures: a reference vector, sources of credentials, refreshes, errors, and secrets."""

import asyncio
import copy
import datetime as dt
import importlib
import logging
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mdstream_core.auth.aws import AWSSigner, MissingCredentials, resolve_connection
from mdstream_core.errors import AuthenticationError, ConnectionFailed, MissingExtra
from mdstream_core.http import Request

pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
boto3 = pytest.importorskip("boto3", reason="boto3 sessions and clients are sources of credentials")

import botocore.credentials  # noqa: E402
import botocore.exceptions  # noqa: E402

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
URL = "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/my-ep/invocations-response-stream"
REQUEST = Request(
    "POST",
    URL,
    {
        "content-type": "application/json",
        "user-agent": "mdstream",
        "x-amzn-sagemaker-accept": "application/json",
        "x-amzn-sagemaker-inference-component": "ic-1",
    },
    b'{"inputs":"hi"}',
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without AWS, and a home of its own."""
    for name in [name for name in __import__("os").environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def credential(request: Request) -> str:
    """The access key id that a request was signed with."""
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def test_the_signature_equals_the_reference_vector() -> None:
    """Key, date, headers and body of reference/sagemaker.md give its signature."""
    now = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp()
    signed = AWSSigner.from_keys(KEY, SECRET, region_name="us-east-1", clock=lambda: now).sign(REQUEST)

    assert "20260102T030405Z" == signed.headers["x-amz-date"]
    assert (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20260102/us-east-1/sagemaker/aws4_request, SignedHeaders=content-type;host;"
        "x-amz-date;x-amzn-sagemaker-accept;x-amzn-sagemaker-inference-component, "
        "Signature=4a84b2c7df0b654478ac1a3a567a5e35f4714c12c312c6412f540872576d0e5a"
    ) == signed.headers["authorization"]


def test_signing_returns_a_new_request() -> None:
    """The unsigned request is unchanged; a session token is a signed header."""
    before = dict(REQUEST.headers)
    signed = AWSSigner.from_keys(KEY, SECRET, "token", region_name="us-east-1").sign(REQUEST)

    assert before == REQUEST.headers
    assert "token" == signed.headers["x-amz-security-token"]
    assert "x-amz-security-token" in signed.headers["authorization"]
    assert REQUEST.content is signed.content


def test_static_keys_need_no_refresh() -> None:
    """They never expire and cannot be refreshed."""
    signer = AWSSigner.from_keys(KEY, SECRET, region_name="us-east-1")

    assert (False, False) == (signer.needs_refresh(), signer.can_refresh())


def test_credentials_are_fetched_at_the_first_request() -> None:
    """
    Creating a connection does not search for them; the error of the first request lists the sources that were searched.
    """
    signer = resolve_connection(region_name="us-east-1").signer

    assert signer.needs_refresh()
    assert not signer.can_refresh()
    with pytest.raises(MissingCredentials, match=r"AWS_ACCESS_KEY_ID.*aws/credentials.*EC2") as missing:
        signer.refresh(signer.generation)
    assert isinstance(missing.value, ValueError)
    assert isinstance(missing.value, AuthenticationError)
    assert str(missing.value) == str(pickle.loads(pickle.dumps(missing.value)))


def test_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found = resolve_connection()

    assert ("eu-west-1", "https://runtime.sagemaker.eu-west-1.amazonaws.com") == (
        found.region_name,
        found.endpoint_url,
    )
    assert "AKENV" == credential(found.signer.sign(REQUEST))
    assert "/eu-west-1/sagemaker/" in found.signer.sign(REQUEST).headers["authorization"]


def profiles(home: Path, key: str = "AKFILE") -> None:
    (home / "config").write_text("[profile work]\nregion = ap-south-1\n[profile gov]\nregion = us-gov-west-1\nuse_fips_endpoint = true\n")  # fmt: skip
    (home / "credentials").write_text(f"[work]\naws_access_key_id = {key}\naws_secret_access_key = s3cret\n")


def test_a_profile_gives_region_and_credentials(alone: Path) -> None:
    """After a rejection the file is read again, so that a changed key is used."""
    profiles(alone)
    found = resolve_connection(credentials_profile_name="work")

    assert "ap-south-1" == found.region_name
    assert "AKFILE" == credential(found.signer.sign(REQUEST))
    profiles(alone, "AKNEW")
    assert found.signer.can_refresh()
    found.signer.refresh(found.signer.generation)
    assert "AKNEW" == credential(found.signer.sign(REQUEST))


def test_an_unknown_profile_is_an_error(alone: Path) -> None:
    """The message names it, and the profiles that exist."""
    profiles(alone)
    with pytest.raises(ValueError, match=r"credentials_profile_name='home' is neither .*hint: .*'work'"):
        resolve_connection(credentials_profile_name="home", region_name="us-east-1")


def test_a_missing_region_is_an_error() -> None:
    """The message names the sources that were searched."""
    with pytest.raises(ValueError, match=r"region_name is missing: .* AWS_DEFAULT_REGION.* ~/\.aws/config"):
        resolve_connection()


@pytest.mark.parametrize(
    "keys",
    [
        {"aws_access_key_id": "a"},
        {"aws_secret_access_key": "b"},
        {"aws_session_token": "c"},
    ],
    ids=str,
)
def test_incomplete_keys_are_an_error(keys: dict[str, str]) -> None:
    """An id without its secret, or a token without either."""
    with pytest.raises(ValueError, match="are incomplete"):
        resolve_connection(region_name="us-east-1", **keys)  # type: ignore[arg-type]


#: name: (options, the endpoint)
ENDPOINTS: dict[str, tuple[dict[str, Any], str]] = {
    "aws": ({"region_name": "us-east-1"}, "https://runtime.sagemaker.us-east-1.amazonaws.com"),
    "fips": (
        {"region_name": "us-east-1", "use_fips_endpoint": True},
        "https://runtime-fips.sagemaker.us-east-1.amazonaws.com",
    ),
    "china": ({"region_name": "cn-north-1"}, "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn"),
    "given": ({"region_name": "us-east-1", "endpoint_url": "https://vpce.example"}, "https://vpce.example"),
}


@pytest.mark.parametrize(("options", "url"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_the_endpoint_follows_botocores_rules(options: dict[str, Any], url: str) -> None:
    """Partitions and FIPS; an explicit URL takes precedence."""
    assert url == resolve_connection(**options).endpoint_url


def test_botocores_endpoint_settings_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the environment and the config file."""
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert (
        "https://runtime-fips.sagemaker.us-west-2.amazonaws.com"
        == resolve_connection(region_name="us-west-2").endpoint_url
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:1")
    assert "http://127.0.0.1:1" == resolve_connection(region_name="us-west-2").endpoint_url


def test_a_boto3_session_gives_region_and_credentials() -> None:
    """A boto3 session gives region and credentials."""
    found = resolve_connection(boto3_session=boto3.Session("AKSESSION", "secret", region_name="sa-east-1"))

    assert ("sa-east-1", "https://runtime.sagemaker.sa-east-1.amazonaws.com") == (found.region_name, found.endpoint_url)
    assert "AKSESSION" == credential(found.signer.sign(REQUEST))


def test_a_boto3_client_gives_region_endpoint_and_credentials() -> None:
    """A boto3 client gives region endpoint and credentials."""
    client = boto3.client("sagemaker-runtime", "us-west-2", endpoint_url="http://127.0.0.1:9", aws_access_key_id="AKCLIENT", aws_secret_access_key="s")  # fmt: skip
    found = resolve_connection(client=client)

    assert ("us-west-2", "http://127.0.0.1:9") == (found.region_name, found.endpoint_url)
    assert "AKCLIENT" == credential(found.signer.sign(REQUEST))


class Metadata:
    """Returns expiring keys, as a role does, and counts the requests."""

    def __init__(self, seconds: float = 3600) -> None:
        self.seconds = seconds
        self.requested = 0
        self.threads: set[int] = set()

    def __call__(self) -> dict[str, str]:
        self.requested += 1
        self.threads.add(threading.get_ident())
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.seconds)
        return {"access_key": f"AK{self.requested}", "secret_key": "s", "token": "t", "expiry_time": end.isoformat()}

    def credentials(self) -> Any:
        return botocore.credentials.DeferredRefreshableCredentials(self, "assume-role")


def test_expiring_credentials_are_refreshed_in_time(caplog: pytest.LogCaptureFixture) -> None:
    """The first refresh fetches them, and a later one shortly before they expire; source and validity are logged."""
    caplog.set_level(logging.INFO, "mdstream.auth")
    role = Metadata()
    signer = AWSSigner("us-east-1", lambda: None, credentials=role.credentials())

    assert 0 == role.requested
    signer.refresh(signer.generation)
    assert ("AK1", False, True) == (credential(signer.sign(REQUEST)), signer.needs_refresh(), signer.can_refresh())
    assert "credential refreshed: an AWS key, a role of ~/.aws/config; valid for " in caplog.text
    assert signer.expires_in is not None
    assert 0 < signer.expires_in <= 3600
    ending = Metadata(120)
    signer = AWSSigner("us-east-1", lambda: None, credentials=ending.credentials())
    signer.refresh(signer.generation)
    assert signer.needs_refresh()
    ending.seconds = 3600
    signer.refresh(signer.generation)
    assert ("AK2", False) == (credential(signer.sign(REQUEST)), signer.needs_refresh())


def test_signing_never_uses_the_network() -> None:
    """Also shortly before the expiry: `needs_refresh` reports it, and only `refresh` waits."""
    role = Metadata(1)
    signer = AWSSigner("us-east-1", lambda: None, credentials=role.credentials())
    signer.refresh(signer.generation)
    requested = role.requested
    signer.sign(REQUEST)

    assert requested == role.requested


def test_concurrent_callers_share_a_refresh() -> None:
    """It is single-flight, and runs off the event loop."""
    role = Metadata()
    signer = AWSSigner("us-east-1", lambda: None, credentials=role.credentials())

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(signer.refresh, 0) for _ in range(8)))

    asyncio.run(main())

    assert 1 == role.requested
    assert threading.get_ident() not in role.threads


#: name: (what botocore raises, what comes out)
FAILURES: dict[str, tuple[Exception, type[Exception]]] = {
    "unreachable": (
        botocore.exceptions.EndpointConnectionError(endpoint_url="http://169.254.169.254"),
        ConnectionFailed,
    ),
    "metadata": (botocore.exceptions.MetadataRetrievalError(error_msg="x"), ConnectionFailed),
    "sso": (botocore.exceptions.UnauthorizedSSOTokenError(), AuthenticationError),
    "half a key": (
        botocore.exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        AuthenticationError,
    ),
    "refused": (
        botocore.exceptions.ClientError(
            {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "AssumeRole"
        ),
        AuthenticationError,
    ),
}


@pytest.mark.parametrize(("raised", "kind"), FAILURES.values(), ids=FAILURES)
def test_botocore_exceptions_are_mapped(raised: Exception, kind: type[Exception]) -> None:
    """Each becomes an mdstream error with its message."""

    def find() -> None:
        raise raised

    with pytest.raises(kind) as error:
        AWSSigner("us-east-1", find).refresh(0)

    assert str(raised)[:20] in str(error.value)
    assert raised is error.value.__cause__


def test_no_secret_is_in_a_repr_or_pickle() -> None:
    """A signer that can read its credentials again can be pickled; the others raise an error with a hint."""
    given = AWSSigner.from_keys(KEY, SECRET, "t0ken", region_name="us-east-1")
    chain = resolve_connection(region_name="us-east-1").signer

    assert not {SECRET, "t0ken"} & set(repr(given).split())
    assert SECRET not in repr(
        resolve_connection(region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    )
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(given)
    assert given is copy.deepcopy(given)
    assert ("us-east-1", True) == ((again := pickle.loads(pickle.dumps(chain))).region_name, again.needs_refresh())


def test_botocore_is_not_imported_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without botocore the error names the extra to install."""
    for name in [name for name in sys.modules if name.split(".")[0] in {"botocore", "boto3"}]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "mdstream_core.auth.aws")
    aws = importlib.import_module("mdstream_core.auth.aws")

    assert not {"botocore", "boto3"} & sys.modules.keys()
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(MissingExtra, match=r"mdstream-llm\[aws\]"):
        aws.resolve_connection(region_name="us-east-1")
    with pytest.raises(MissingExtra, match=r"mdstream-llm\[aws\]"):
        aws.AWSSigner.from_keys("a", "b", region_name="us-east-1")
