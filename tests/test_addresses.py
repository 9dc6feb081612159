"""Names that become part of a URL cannot change the host that receives the credential."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from _auth_oci import PEM, jwt

from langchain_mdstream import ChatModelArts, ChatOCIGenAI, ChatOCIModelDeployment, ChatSagemakerEndpoint
from llamaindex_mdstream import ModelArts as LlamaIndexModelArts
from llamaindex_mdstream import OCIDataScience, SageMakerLLM
from llamaindex_mdstream import OCIGenAI as LlamaIndexOCIGenAI
from mdstream_core import ModelArts, OCIGenerativeAI, OCIModelDeployment, SageMaker
from mdstream_core._addresses import check_name, check_url
from mdstream_core.auth import aws, oci
from mdstream_core.auth.huawei import AKSKSigner, IAMLogin
from mdstream_core.cli import main
from mdstream_core.errors import MDStreamError
from mdstream_core.platforms._oci_regions import REGIONS

COMPARTMENT = "ocid1.compartment.oc1..aaaa"
DEPLOYMENT = "ocid1.datasciencemodeldeployment.oc1.iad."

#: What somebody may write to have another host, another path, another header, or another word shown than was meant.
EVIL = [
    "evil.example/",
    "evil.example#",
    "evil.example?",
    "evil.example\\",
    "x@evil.example",
    "x:80",
    "cn-north-4.evil.example",
    "us-east-1/../..",
    "us-east-1\r\nx: y",
    "us-east-1\n",
    " us-east-1",
    "us-east-\u0661",
    "us-еast-1",  # a Cyrillic letter
    "us-east-1\u202e",
    "%2e%2e",
    "-",
    "..",
    "us-" + "a" * 300 + "-1",
]


def login(project: str) -> object:
    return IAMLogin("u", "s3cret", "d", project)


#: Each place where a name goes into a host, a path or a header.
PLATFORM_CASES: dict[str, Callable[[str], object]] = {
    "IAM, project": login,
    "IAM elsewhere, project": lambda name: IAMLogin("u", "s3cret", "d", name, "https://iam.example"),
    "OCI GenAI, region": lambda name: OCIGenerativeAI(COMPARTMENT, "m", name),
    "OCI GenAI, realm": lambda name: OCIGenerativeAI(COMPARTMENT, "m", "us-chicago-1", realm=name),
    "OCI GenAI, compartment": lambda name: OCIGenerativeAI(f"{COMPARTMENT}{name}/", "m", "us-chicago-1"),
    "OCI GenAI, openai_base": lambda name: OCIGenerativeAI(COMPARTMENT, "m", "ord", openai_base=f"/{name}/../v1"),
    "OCI GenAI, conversation store": lambda name: OCIGenerativeAI(
        COMPARTMENT, "m", "ord", conversation_store_id=f"{name}\n"
    ),
    "model deployment, region": lambda name: OCIModelDeployment(DEPLOYMENT + "x", name),
    "model deployment, OCID": lambda name: OCIModelDeployment(f"{DEPLOYMENT}{name}/x"),
    "model deployment, OCID's region": lambda name: OCIModelDeployment(f"{DEPLOYMENT[:-4]}{name.rpartition('.')[2]}.x"),
    "SageMaker, region": lambda name: SageMaker("e", name),
    "SageMaker, region with a URL": lambda name: SageMaker("e", name + ".", "https://h.example"),
    "SageMaker, endpoint": lambda name: SageMaker(f"{name}/", "us-east-1"),
    "SageMaker, component": lambda name: SageMaker("e", "us-east-1", inference_component=f"{name}\n"),
    "AWS, signing": lambda name: aws.AWSSigner(name + ".", lambda: None),
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
def test_a_name_cannot_change_the_host(platform_case: Callable[[str], object], name: str) -> None:
    """The error names the field, is one short line, and contains no secret."""
    with pytest.raises(ValueError, match=r"^[a-z_]+[= ]") as caught:
        platform_case(name)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("project", "host"),
    [
        ("cn-north-4", "iam.cn-north-4.myhuaweicloud.com"),
        ("cn-north-4_team", "iam.cn-north-4.myhuaweicloud.com"),
        ("ap-southeast-1_Team_2-x", "iam.ap-southeast-1.myhuaweicloud.com"),
        ("eu-west-101", "iam.eu-west-101.myhuaweicloud.com"),
        ("la-north-2", "iam.la-north-2.myhuaweicloud.com"),
        ("my-kualalumpur-1", "iam.my-kualalumpur-1.myhuaweicloud.com"),
    ],
)
def test_huawei_projects_are_accepted(project: str, host: str) -> None:
    """A region, or a sub-project."""
    assert host == urlsplit(IAMLogin("u", "p", "d", project).request().url).hostname


@pytest.mark.parametrize(
    "region", [*REGIONS.values(), *REGIONS, "us-gov-ashburn-1", "eu-dcc-rome-1", "ap-dcc-gazipur-1"]
)
def test_oci_regions_are_accepted(region: str) -> None:
    """Names, and known short keys."""
    full = REGIONS.get(region, region)

    assert f".{full}." in OCIGenerativeAI(COMPARTMENT, "m", region).base_url
    assert f".{full}." in OCIGenerativeAI(COMPARTMENT, "m", region.upper()).base_url
    assert f".{full}." in OCIModelDeployment(DEPLOYMENT + "x", region).base_url


AWS_REGIONS = (
    "us-east-1 ap-southeast-7 us-gov-west-1 cn-northwest-1 us-iso-east-1 "
    "us-isob-east-1 eu-isoe-west-1 eusc-de-east-1 il-central-1 mx-central-1"
)


@pytest.mark.parametrize("region", AWS_REGIONS.split())
def test_aws_regions_are_accepted(region: str) -> None:
    """Of all partitions."""
    assert f"runtime.sagemaker.{region}." in SageMaker("e", region).base_url
    assert region == aws.AWSSigner(region, lambda: None).region_name


@pytest.mark.parametrize(
    "ocid",
    [
        "ocid1.compartment.oc1..aaaaaaaa7yxz",
        "ocid1.tenancy.oc1..aaaa",
        "ocid1.compartment.oc19.eu-frankfurt-2.aaaa",
        "ocid1.tenancy.oc2..aaaa-b_c",
    ],
)
def test_compartment_ocids_are_accepted(ocid: str) -> None:
    """In the formats of Oracle's page on resource identifiers."""
    assert ocid == OCIGenerativeAI(ocid, "m", service_endpoint="https://h").compartment_id


URLS: dict[str, Callable[[str], object]] = {
    "iam_endpoint": lambda url: IAMLogin("u", "s3cret", "d", "cn-north-4", url),
    "service_endpoint": lambda url: OCIGenerativeAI(COMPARTMENT, "m", service_endpoint=url),
    "endpoint of a deployment": OCIModelDeployment,
    "endpoint of ModelArts": ModelArts,
    "endpoint_url": lambda url: SageMaker("e", "us-east-1", url),
}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host.example/x",
        "ftp://host.example",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://me:pa55word@host.example/x",
        "https://pa55word@host.example",
        "https://good.example\\@evil.example/x",
        "https://good.example\\.evil.example/x",
        "https://host.example:0/x",
        "https://host.example:pa55word/x"[:27],
        "https://host.example:99999/x",
        "https://[::1/x",
        "https://ho st.example/x",
        "https://host.example/x y",
        "https://host.example/x\r\ny: z",
        "https://h\u00f6st.example/x",
        "https://host.example\u2044evil/x",
        "https://ho%73t.example/x",
        "https://*.example/x",
        "https://host.example/x#fragment",
    ],
)
@pytest.mark.parametrize("platform_case", URLS.values(), ids=URLS)
def test_an_endpoint_must_be_a_url(platform_case: Callable[[str], object], url: str) -> None:
    """With scheme and host, without user and password. The error is one line and contains neither."""
    with pytest.raises(ValueError, match=r"^[a-z_]+[= ]") as caught:
        platform_case(url)

    assert str(caught.value).isprintable()
    assert "pa55word" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "https://host.example/",
        "http://[::1]:80/x",
        "http://my_service:1/x",
        "http://h",
        "https://A.b-c.d",
    ],
)
@pytest.mark.parametrize("platform_case", URLS.values(), ids=URLS)
def test_an_endpoint_may_have_any_host(platform_case: Callable[[str], object], url: str) -> None:
    """Private endpoints, proxies, emulators, names of containers."""
    assert platform_case(url)


@pytest.mark.parametrize(
    "url", [f"{DEPLOYMENT}x/predict", f"{DEPLOYMENT}x/predictWithResponseStream/v1", f"{DEPLOYMENT}x/"]
)
def test_an_ocid_may_have_a_route(url: str) -> None:
    """Users copy it together with the OCID."""
    assert OCIModelDeployment(url).base_url.endswith(f"/{DEPLOYMENT}x")


@pytest.mark.parametrize("name", ["security_token", "project_id"])
@pytest.mark.parametrize("value", ["a\r\nx: y", "a b\n", "ä", " xyz"])
def test_values_that_become_headers_are_checked(name: str, value: str) -> None:
    """The error does not contain the value."""
    with pytest.raises(ValueError, match=name.replace("_", "-")) as caught:
        AKSKSigner("ak", "sk", **{name: value})

    assert value not in str(caught.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config file whose region is another host."""
    for name in [name for name in os.environ if name.startswith(("OCI_", "AWS_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "key.pem").write_text(PEM)
    fields = [
        "[DEFAULT]",
        "tenancy=ocid1.tenancy.oc1..aaaa",
        "user=ocid1.user.oc1..bbbb",
        f"fingerprint={':'.join(['0a'] * 16)}",
        f"key_file={tmp_path / 'key.pem'}",
    ]
    (tmp_path / "plain").write_text("\n".join(fields))
    (tmp_path / "config").write_text("\n".join([*fields, "region=evil.example/"]))
    monkeypatch.setenv("OCI_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


GENAI: list[Callable[..., object]] = [
    lambda **more: ChatOCIGenAI(model="m", compartment_id=COMPARTMENT, **more),
    lambda **more: LlamaIndexOCIGenAI(model="m", compartment_id=COMPARTMENT, **more).complete("x"),
]


@pytest.mark.parametrize("model", GENAI)
@pytest.mark.parametrize("source", ["profile", "OCI_REGION", "OCI_RESOURCE_PRINCIPAL_REGION", "signer"])
def test_a_resolved_region_is_checked_like_an_explicit_one(
    model: Callable[..., object], source: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the config file, the environment, or a signer, which may have it from the metadata service."""
    more: dict[str, Any] = {}
    if source != "profile":
        monkeypatch.setenv("OCI_CONFIG_FILE", str(home / "plain"))
    if source.startswith("OCI_"):
        monkeypatch.setenv(source, "evil.example/")
    if source == "signer":

        class Principal:
            region = "evil.example/"

            def __call__(self, request: Any) -> None: ...

        more["auth"] = Principal()
    with pytest.raises(ValueError, match=r"region='evil.example/' is not a region name"):
        model(**more)


@pytest.mark.parametrize("kind", ["config", "environment", "AWS_REGION", "given"])
def test_a_resolved_aws_region_is_checked(kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a profile or a variable, or explicit."""
    pytest.importorskip("botocore", reason="mdstream-llm[aws] is not installed")
    if kind == "config":
        (home / "aws").write_text("[default]\nregion = evil.example/\n")
    if kind != "AWS_REGION":
        if kind == "environment":
            monkeypatch.setenv("AWS_DEFAULT_REGION", "evil.example/")
        with pytest.raises(ValueError, match=r"region_name='evil.example/' is not a region name"):
            aws.resolve_connection(region_name="evil.example/" if kind == "given" else None)
        return
    monkeypatch.setenv("AWS_REGION", "evil.example/")
    with pytest.raises(ValueError, match=r"region_name='evil.example/' is not a region name"):
        _ = ChatSagemakerEndpoint(endpoint_name="e").service


LOGIN: dict[str, Any] = {"user": "u", "password": "p", "domain": "d", "project": "evil.example/"}

MODELS: dict[str, Callable[[], object]] = {
    "ChatModelArts": lambda: ChatModelArts(endpoint="https://h", **LOGIN).service,
    "ModelArts": lambda: LlamaIndexModelArts(endpoint="https://h", **LOGIN).complete("x"),
    "ChatOCIModelDeployment": lambda: ChatOCIModelDeployment(endpoint=DEPLOYMENT + "x", region="evil.example/"),
    "OCIDataScience": lambda: OCIDataScience(endpoint=DEPLOYMENT + "x", region="evil.example/").complete("x"),
    "ChatSagemakerEndpoint": lambda: ChatSagemakerEndpoint(endpoint_name="evil.example/", region_name="us-east-1"),
    "SageMakerLLM": lambda: SageMakerLLM(endpoint_name="evil.example/", region_name="us-east-1").complete("x"),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_models_of_both_frameworks_reject_wrong_names(model: Callable[[], object]) -> None:
    """A `ValueError` is raised before anything is signed."""
    with pytest.raises((ValueError, MDStreamError), match=r"='evil\.example/'"):
        model()


@pytest.mark.parametrize(
    "words",
    [
        ["models", DEPLOYMENT + "x", "--region", "evil.example/", "--auth-type", "none"],
        ["models", f"{DEPLOYMENT}x/../../y", "--auth-type", "none"],
        ["models", "my-endpoint", "--region", "evil.example/"],
        ["models", "https://me:pa55word@h.example/v1/infers/x", "--auth-type", "none"],
    ],
    ids=lambda words: words[1],
)
def test_the_command_line_rejects_wrong_names(words: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As wrong usage, or a credential that cannot be used."""
    assert main(words) in {2, 3}
    written = capsys.readouterr()
    assert "pa55word" not in written.out + written.err
    assert "mdstream: " in written.err


def test_the_region_of_a_session_profile_is_checked(home: Path) -> None:
    """The region of a session profile is checked."""
    (home / "token").write_text(jwt(4e9))
    config = {"security_token_file": str(home / "token"), "key_file": str(home / "key.pem"), "region": "x.evil/"}
    signer = oci.from_config(config=config)
    with pytest.raises(ValueError, match=r"region='x\.evil/'"):
        OCIGenerativeAI(COMPARTMENT, "m", oci.resolve_region(signer))


def test_the_errors_of_the_checks() -> None:
    """Field, value and an example; a long value is truncated."""
    with pytest.raises(
        ValueError, match=r"^region='x{80}' is not a region name \(hint: use a name such as us-chicago-1\)$"
    ):
        check_name("region", "x" * 500, "oci region")
    with pytest.raises(ValueError, match=r"^u='x' is no URL of mine$"):
        check_url("u", "x", problem="is no URL of mine")
