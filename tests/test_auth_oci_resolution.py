"""What a model's auth fields mean; copies, pickles, imports."""

import copy
import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import (
    KEY,
    KEY_ID,
    NOW,
    PEM,
    PROMPT,
    assert_no_secret,
    bare,
    home,
    jwt,
    principal,
)

from mdstream_core.auth import BearerSigner, Signer, UnsignedSigner
from mdstream_core.auth.oci import OCISigner, SDKSigner, from_config, resolve_signer, resource_principal, wrap_signer

__all__ = ["bare", "home", "principal"]  # fixtures


# --- what a model's fields mean


TYPES = {
    "api_key": "APIKey",
    "API_KEY": "APIKey",
    "SECURITY_TOKEN": "SessionToken",
    "session-token": "SessionToken",
    "none": "UnsignedSigner",
    "INSTANCE_PRINCIPAL": "SDKSigner instance principal",
    "oke_workload": "SDKSigner OKE workload identity",
    "workload_identity": "SDKSigner OKE workload identity",
}


needs_sdk = pytest.mark.skipif(
    importlib.util.find_spec("oci") is None, reason="these principals are the SDK's; install mdstream-llm[oci]"
)


@pytest.mark.parametrize(
    ("auth_type", "words"),
    [pytest.param(*row, marks=needs_sdk if "SDK" in row[1] else ()) for row in TYPES.items()],
)
def test_each_auth_type(home: Path, auth_type: str, words: str) -> None:
    """
    The spellings of OCI's CLI, of langchain-oci and ours lead to the same signers.
    """
    profile = "SESSION" if words == "SessionToken" else None

    assert words in repr(resolve_signer(auth_type=auth_type, auth_profile=profile))


@needs_sdk
def test_resource_principal_by_type(principal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Version 2.2 is ours; other versions go to the SDK, which is not asked before the first refresh.
    """
    ours = resolve_signer(auth_type="RESOURCE_PRINCIPAL")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "1.1")
    theirs = resolve_signer(auth_type="resource_principal")

    assert "<SourceSigner ResourcePrincipal token>" == repr(ours)
    assert "<SDKSigner resource principal 1.1>" == repr(theirs)


def test_bearer_by_type_and_by_key() -> None:
    """
    An API key of the Generative AI kind is sent as it is.
    """
    made = [resolve_signer(api_key="sk-1"), resolve_signer(auth_type="bearer", api_key="sk-1")]

    assert ["Bearer sk-1"] * 2 == [m.sign(PROMPT).headers["authorization"] for m in made if isinstance(m, Signer)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"auth_type": "apikey"}, "'apikey' is unknown: use one of api_key, session_token"),
        ({"auth_type": "bearer"}, "needs an api_key"),
        ({"auth_type": "api_key", "api_key": "sk-very-secret"}, "drop one of them"),
        ({"auth": "sk-very-secret"}, "auth is a str.*api_key"),
        ({"auth": 7}, "auth is a int"),
        ({"auth": OCISigner}, "auth is a type"),
        ({"api_key": " sk-very-secret"}, "api_key"),
    ],
    ids=str,
)
def test_a_choice_that_makes_no_sense_is_an_error(home: Path, arguments: dict[str, Any], words: str) -> None:
    """
    What was given is named, what would do is listed, the key is not shown.
    """
    with pytest.raises(ValueError, match=words) as caught:
        resolve_signer(**arguments)

    assert "very-secret" not in str(caught.value)


def test_automatic_takes_what_there_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    API key, named profile, resource principal, config file: in this order.
    """
    plain = resolve_signer()
    for name, value in {"VERSION": "2.2", "RPST": jwt(NOW), "PRIVATE_PEM": PEM}.items():
        monkeypatch.setenv(f"OCI_RESOURCE_PRINCIPAL_{name}", value)
    found = [plain, resolve_signer(), resolve_signer(auth_profile="SESSION"), resolve_signer(api_key="sk")]

    assert ["SourceSigner APIKey", "SourceSigner ResourcePrincipal", "SourceSigner SessionToken", "BearerSigner"] == [
        " ".join(repr(made).strip("<>").split()[:2]) for made in found
    ]


def test_automatic_without_anything_states_where_it_looked() -> None:
    """
    The places and the ways out are in the message.
    """
    with pytest.raises(
        ValueError, match=r"OCI_RESOURCE_PRINCIPAL_VERSION.*~/\.oci/config.*oci setup config.*auth_type"
    ):
        resolve_signer()


def test_a_signer_and_a_flow_are_taken_as_they_are() -> None:
    """
    Our signers and httpx's need no wrapping.
    """
    httpx = pytest.importorskip("httpx")
    given = [UnsignedSigner(), httpx.Auth(), httpx.BasicAuth("u", "p")]

    assert given == [resolve_signer(each) for each in given]


# --- copies, pickles, imports


def test_copies_share_the_signer(home: Path) -> None:
    """
    A copied model signs with the same key and refreshes it once.
    """
    made = from_config("SESSION")

    assert [made, made] == [copy.copy(made), copy.deepcopy({"auth": made})["auth"]]


@pytest.mark.parametrize("profile", ["DEFAULT", "TEAM", "SESSION"])
def test_a_pickle_holds_the_position_and_not_the_key(home: Path, profile: str) -> None:
    """
    In another process the key is read again from where it lies.
    """
    made = from_config(profile)

    written = pickle.dumps(made)

    assert_no_secret(written, repr(made), str(vars(made)))
    assert made.sign(PROMPT) == pickle.loads(written).sign(PROMPT)


def test_a_pickled_resource_principal(principal: str) -> None:
    """
    The environment is asked again.
    """
    made = resource_principal()
    written = pickle.dumps(made)

    assert_no_secret(written, repr(made), str(vars(made)))
    assert made.sign(PROMPT) == pickle.loads(written).sign(PROMPT)


@needs_sdk
def test_a_pickled_sdk_principal_is_fetched_anew() -> None:
    """
    What the SDK fetched stays; how to fetch it goes along.
    """
    made = resolve_signer(auth_type="instance_principal")

    again = pickle.loads(pickle.dumps(made))

    assert isinstance(again, SDKSigner)
    assert (repr(made), True, True) == (repr(again), again.needs_refresh(), again.can_refresh())


@pytest.mark.parametrize(
    "make",
    [
        lambda: OCISigner(KEY_ID, KEY),
        lambda: BearerSigner("sk-1"),
        lambda: wrap_signer(lambda request: request),
        lambda: from_config(
            config=dict(zip(("tenancy", "user", "fingerprint"), KEY_ID.split("/"), strict=True), key_content=PEM)
        ),
    ],
    ids=["key in hand", "bearer", "wrapped", "key_content"],
)
def test_a_credential_that_cannot_be_found_again_is_not_pickled(make: Callable[[], Signer]) -> None:
    """
    Rather an error than a secret in a file.
    """
    made = make()

    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(made)
    assert_no_secret(repr(made), str(vars(made)))


def test_importing_the_space_imports_no_sdk() -> None:
    """
    `oci` and `cryptography` are loaded by those who use them.
    """
    code = "import sys, mdstream_core.auth.oci; print([m for m in ('oci', 'cryptography') if m in sys.modules])"

    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )

    assert "[]" == ran.stdout.strip()
