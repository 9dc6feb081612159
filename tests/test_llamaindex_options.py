"""Options of the peer packages for OCI Generative AI and SageMaker: families, regions, clients."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import PEM
from _platforms import PLATFORM_CASES
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from pydantic import ValidationError

from llamaindex_mdstream import OCIGenAI, OCIGenAIEmbeddings, OCIGenAIRerank, SageMakerLLM
from mdstream_core import Timeout
from mdstream_core.auth import oci
from mdstream_core.emulator import Emulator

COMPARTMENT = "ocid1.compartment.oc1..emulated"
DEDICATED = "ocid1.generativeaiendpoint.oc1.us-chicago-1.aaaa"
CHICAGO = {"region": "us-chicago-1", "compartment_id": COMPARTMENT}
REQUEST = [ChatMessage("Name three rivers.")]


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


def hosted(emulator: Emulator, **options: Any) -> OCIGenAI:
    """A model of OCI Generative AI on the emulator."""
    there = emulator.oci_genai
    return OCIGenAI(
        service_endpoint=there.endpoint, compartment_id=there.compartment_id, auth_type="none", max_retries=0, **options
    )


FAMILIES = {
    "of the name": ({"model": "cohere.command-a-03-2025"}, "COHERE"),
    "of an OCID": ({"model": DEDICATED}, "GENERIC"),
    "said": ({"model": DEDICATED, "family": "cohere"}, "COHERE"),
    "said as llama-index-llms-oci-genai says it": ({"model": DEDICATED, "provider": "cohere"}, "COHERE"),
    "said, and the format too": ({"model": DEDICATED, "family": "cohere", "api_format": "COHEREV2"}, "COHEREV2"),
}


@pytest.mark.parametrize(("options", "format"), FAMILIES.values(), ids=FAMILIES)
def test_the_family_selects_the_format(emulator: Emulator, options: dict[str, Any], format: str) -> None:
    """`family` selects the format if the model's name does not."""
    hosted(emulator, **options).chat(REQUEST)

    assert format == emulator.last.json["chatRequest"]["apiFormat"]


RUNTIMES = {
    "cohere.command": ({}, "COHERE"),
    "meta.llama-2-70b-chat": ({}, "LLAMA"),
    "mistral.small": ({}, "LLAMA"),
    DEDICATED: ({}, "LLAMA"),
    DEDICATED + "b": ({"provider": "cohere"}, "COHERE"),
}


@pytest.mark.parametrize(("model", "options", "runtime"), [(name, *row) for name, row in RUNTIMES.items()])
def test_runtimes(emulator: Emulator, model: str, options: dict[str, Any], runtime: str) -> None:
    """`generateText` has two formats: one for Cohere, one for all other models."""
    hosted(emulator, model=model, is_chat_model=False, **options).complete("Name three rivers.")

    assert runtime == emulator.last.json["inferenceRequest"]["runtimeType"]


def test_images_use_the_second_cohere_format(emulator: Emulator) -> None:
    """The second format is used for this request only; an explicit format stays."""
    llm = hosted(emulator, model=DEDICATED, provider="cohere")
    seen = ChatMessage(blocks=[TextBlock(text="What is it?"), ImageBlock(image=b"\x89PNG", image_mimetype="image/png")])
    llm.chat([seen])
    shown = emulator.last.json["chatRequest"]["apiFormat"]
    llm.chat(REQUEST)

    assert ("COHEREV2", "COHERE") == (shown, emulator.last.json["chatRequest"]["apiFormat"])


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "an unknown family": (OCIGenAI, {"provider": "mistral"}, "family='mistral' is unknown .hint: use one of cohere"),
    "a family and a dialect": (OCIGenAI, {"family": "openai", "dialect": "openai-chat"}, "remove one of them"),
    "a family twice": (OCIGenAI, {"family": "openai", "provider": "openai"}, "provider"),
    "a family of vectors": (OCIGenAIEmbeddings, {"family": "cohere"}, "family"),
    "a client that is none": (OCIGenAI, {"client": object()}, "client has the type object, not Generative"),
}


@pytest.mark.parametrize(("kind", "options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_named(kind: Any, options: dict[str, Any], words: str) -> None:
    """Invalid options are rejected when the object is created."""
    with pytest.raises(ValidationError, match=words):
        kind(model="xai.grok-4", **CHICAGO, **options)


def client_of(emulator: Emulator, **options: Any) -> Any:
    """An `oci` client for the emulator."""
    sdk = pytest.importorskip("oci", reason="the SDK's own client")
    config = {
        "user": "ocid1.user.oc1..bbbb", "tenancy": "ocid1.tenancy.oc1..aaaa", "region": "us-chicago-1",
        "fingerprint": ":".join(["0a"] * 16), "key_content": PEM,
    }  # fmt: skip
    return sdk.generative_ai_inference.GenerativeAiInferenceClient(config, service_endpoint=emulator.url, **options)


@pytest.mark.parametrize("kind", [OCIGenAI, OCIGenAIEmbeddings, OCIGenAIRerank])
def test_a_client_sets_endpoint_and_timeout(emulator: Emulator, kind: Any) -> None:
    """The `oci` client sets endpoint and timeout; other fields override it, and it is not saved."""
    requested = {"model": "cohere.x", "compartment_id": COMPARTMENT, "client": client_of(emulator, timeout=(3, 7))}

    assert Timeout(connect=3, read=7) == kind(**requested).timeout
    assert 9 == kind(**requested, timeout=9).timeout
    assert emulator.url in kind(**requested)._build_platform().base_url
    assert "client" not in kind(**requested).to_dict()


def test_a_client_sets_the_signer(emulator: Emulator) -> None:
    """The request is signed with the client's key."""
    OCIGenAI(model="xai.grok-4", compartment_id=COMPARTMENT, client=client_of(emulator)).chat(REQUEST)

    assert 'Signature algorithm="rsa-sha256"' in emulator.last.headers["authorization"]


def test_the_oci_region_is_the_signers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region is that of the profile, the signer or the resource principal; else an error asks for it."""
    for name in ("OCI_RESOURCE_PRINCIPAL_REGION", "OCI_REGION", "OCI_CONFIG_FILE", "OCI_CONFIG_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    key, file = tmp_path / "key.pem", tmp_path / "config"
    key.write_text(PEM, "utf-8")
    file.write_text(
        f"[DEFAULT]\nuser=ocid1.user.oc1..b\ntenancy=ocid1.tenancy.oc1..a\nfingerprint={':'.join(['0a'] * 16)}\n"
        f"region=uk-london-1\nkey_file={key}\n",
        "utf-8",
    )
    requested: dict[str, Any] = {"model": "xai.grok-4", "compartment_id": COMPARTMENT}

    assert "uk-london-1" in OCIGenAI(**requested, auth_file_location=str(file))._build_platform().base_url
    assert "uk-london-1" in OCIGenAI(**requested, auth=oci.from_config(file=str(file)))._build_platform().base_url
    with pytest.raises(ValidationError, match="region is missing"):
        OCIGenAI(**requested)
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-ashburn-1")
    assert "us-ashburn-1" in OCIGenAI(**requested)._build_platform().base_url


def test_the_aws_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """`AWS_REGION` overrides botocore's variable; the field and a session override `AWS_REGION`."""
    boto3 = pytest.importorskip("boto3", reason="botocore knows the regions; install mdstream-llm[aws]")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    requested = {"endpoint_name": "e", "aws_access_key_id": "A", "aws_secret_access_key": "S"}
    session = boto3.Session(aws_access_key_id="A", aws_secret_access_key="S", region_name="ca-central-1")

    assert "eu-west-1" in SageMakerLLM(**requested)._connect()[0].base_url
    assert "us-east-1" in SageMakerLLM(**requested, region_name="us-east-1")._connect()[0].base_url
    assert "ca-central-1" in SageMakerLLM(endpoint_name="e", boto3_session=session)._connect()[0].base_url


@pytest.mark.parametrize("stream", [False, True])
def test_headers_of_every_source_are_merged(emulator: Emulator, stream: bool) -> None:
    """Those of the model, of the call, and for its arguments; none of the mappings is changed."""
    prefix = "x-amzn-sagemaker-"
    own = {f"{prefix}inference-id": "1", f"{prefix}custom-attributes": "1"}
    called = {f"{prefix}custom-attributes": "2", f"{prefix}target-variant": "2"}
    connection = PLATFORM_CASES["SageMaker vLLM"].fields(emulator)
    llm = SageMakerLLM(**connection, additional_kwargs={"headers": own, "session_id": "s-1"})
    for _ in range(2):
        options: dict[str, Any] = {"extra_headers": called, "target_variant": "blue"}
        _ = list(llm.stream_chat(REQUEST, **options)) if stream else llm.chat(REQUEST, **options)

        sent = [emulator.last.headers[f"{prefix}{name}"] for name in ("inference-id", "custom-attributes")]
        assert ["1", "2"] == sent
        assert "blue" == emulator.last.headers[f"{prefix}target-variant"]
        assert "s-1" == emulator.last.headers[f"{prefix}session-id"]
    assert ["1", "1"] == list(own.values())
    assert ["2", "2"] == list(called.values())
