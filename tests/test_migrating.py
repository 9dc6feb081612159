"""Migration from langchain-oci, langchain-community and langchain-aws by changing the import only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import KEY, PEM
from _migration_examples import BOTO3, COMPARTMENT, MOVES, SERVICE, Move
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage

from langchain_mdstream.rerankers import Reranker
from mdstream_core.emulator import Emulator

REQUEST = "Name three rivers."
FINGERPRINT = ":".join(["0a"] * 15 + ["f7"])


def public(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module, which verifies Oracle's signatures."""
    with Emulator(verify_signatures=public(KEY)) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, without recorded requests."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def platforms(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine as the examples expect it: profiles of both clouds, and environment variables from their documentation."""
    boto3 = pytest.importorskip("boto3", reason="the examples use boto3 clients; install mdstream-llm[aws]")
    oci, aws = tmp_path / ".oci", tmp_path / ".aws"
    oci.mkdir()
    aws.mkdir()
    (oci / "key.pem").write_text(PEM)
    (oci / "token").write_text(token := emulator.issue_token(public(KEY)))
    ids = f"tenancy=ocid1.tenancy.oc1..aaaa\nuser=ocid1.user.oc1..bbbb\nfingerprint={FINGERPRINT}\n"
    session = "[MY_PROFILE]\nkey_file=~/.oci/key.pem\nsecurity_token_file=~/.oci/token\nregion=us-chicago-1\n"
    (oci / "config").write_text(f"[DEFAULT]\n{ids}region=us-chicago-1\nkey_file=~/.oci/key.pem\n\n{session}")
    (aws / "credentials").write_text("[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secret\n")
    environment = {
        "HOME": str(tmp_path),
        "OCI_LLM_ENDPOINT": f"{emulator.endpoint}/predict",
        "OCI_IAM_TYPE": "api_key",
        "OCI_CONFIG_PROFILE": "DEFAULT",
        "OCI_CONFIG_LOCATION": "~/.oci/config",
        "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2",
        "OCI_RESOURCE_PRINCIPAL_RPST": token,
        "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": PEM,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": emulator.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("sagemaker-runtime", region_name="us-west-2", endpoint_url=emulator.url)
    service = emulator.oci_genai
    return {
        "<deployment>": emulator.endpoint,
        SERVICE: service.endpoint,
        COMPARTMENT: service.compartment_id,
        BOTO3: client,
    }


async def whole(model: Any) -> list[Any]:
    """Outputs of a model, an embedding model or a reranker, sync and async."""
    if isinstance(model, Embeddings):
        return [model.embed_documents([REQUEST, "a hill"]), await model.aembed_documents([REQUEST, "a hill"])]
    if isinstance(model, Reranker):
        documents = [Document("a hill"), Document("the three rivers")]
        best = [model.compress_documents(documents, REQUEST), await model.acompress_documents(documents, REQUEST)]
        return [[document.page_content for document in documents] for documents in best]
    return [_text(model.invoke(REQUEST)), _text(await model.ainvoke(REQUEST))]


async def stream(model: Any) -> list[str]:
    """Streamed outputs of a model, sync and async."""
    asynchronous = [_text(chunk) async for chunk in model.astream(REQUEST)]
    return ["".join(map(_text, model.stream(REQUEST))), "".join(asynchronous)]


def _text(content: Any) -> str:
    return str(content.text) if isinstance(content, BaseMessage) else str(content)


RUNS = {
    f"{name} {call_method or 'built'}": (move, call_method)
    for name, move in MOVES.items()
    for call_method in move.methods
}


@pytest.mark.parametrize(("move", "call_method"), RUNS.values(), ids=RUNS)
async def test_documented_calls(platforms: dict[str, Any], move: Move, call_method: str) -> None:
    """Each class of the same name accepts the arguments and responds, whole or streamed, sync and async."""
    model = move.model(**move.filled(platforms))
    if call_method:
        first, second = await (whole if call_method == "whole" else stream)(model)

        assert first
        assert first == second
