"""The signer for a model's auth fields; copies, pickles and imports."""

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
    REQUEST,
    assert_no_secret,
    clean_environment,
    home,
    jwt,
    principal,
)

from mdstream_core.auth import BearerSigner, Signer, UnsignedSigner
from mdstream_core.auth.oci import OCISigner, SDKSigner, from_config, resolve_signer, resource_principal, wrap_signer

__all__ = ["clean_environment", "home", "principal"]  # fixtures


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
def test_each_auth_type_creates_its_signer(home: Path, auth_type: str, words: str) -> None:
    """The names of OCI's CLI, of langchain-oci and of mdstream."""
    profile = "SESSION" if words == "SessionToken" else None

    assert words in repr(resolve_signer(auth_type=auth_type, auth_profile=profile))


@needs_sdk
def test_resource_principal_by_type(principal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2.2 needs no SDK; other versions use it, at the first refresh only."""
    ours = resolve_signer(auth_type="RESOURCE_PRINCIPAL")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "1.1")
    theirs = resolve_signer(auth_type="resource_principal")

    assert "<SourceSigner ResourcePrincipal token>" == repr(ours)
    assert "<SDKSigner resource principal 1.1>" == repr(theirs)


def test_bearer_by_type_and_by_key() -> None:
    """An API key of OCI Generative AI is sent unchanged."""
    made = [resolve_signer(api_key="sk-1"), resolve_signer(auth_type="bearer", api_key="sk-1")]

    assert ["Bearer sk-1"] * 2 == [m.sign(REQUEST).headers["authorization"] for m in made if isinstance(m, Signer)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"auth_type": "apikey"}, "'apikey' is unknown.* .hint: use one of api_key, session_token"),
        ({"auth_type": "bearer"}, "needs an api_key"),
        ({"auth_type": "api_key", "api_key": "sk-very-secret"}, "remove one of them"),
        ({"auth": "sk-very-secret"}, "auth has the type str.*api_key"),
        ({"auth": 7}, "auth has the type int"),
        ({"auth": OCISigner}, "auth has the type type"),
        ({"api_key": " sk-very-secret"}, "api_key"),
    ],
    ids=str,
)
def test_contradicting_fields_are_an_error(home: Path, arguments: dict[str, Any], words: str) -> None:
    """The message names the value and lists the valid ones; it does not contain the key."""
    with pytest.raises(ValueError, match=words) as caught:
        resolve_signer(**arguments)

    assert "very-secret" not in str(caught.value)


def test_the_order_of_automatic_resolution(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """API key, explicit profile, resource principal, config file."""
    plain = resolve_signer()
    for name, value in {"VERSION": "2.2", "RPST": jwt(NOW), "PRIVATE_PEM": PEM}.items():
        monkeypatch.setenv(f"OCI_RESOURCE_PRINCIPAL_{name}", value)
    found = [plain, resolve_signer(), resolve_signer(auth_profile="SESSION"), resolve_signer(api_key="sk")]

    assert ["SourceSigner APIKey", "SourceSigner ResourcePrincipal", "SourceSigner SessionToken", "BearerSigner"] == [
        " ".join(repr(made).strip("<>").split()[:2]) for made in found
    ]


def test_the_error_without_a_credential_lists_the_sources() -> None:
    """It lists what to set, too."""
    with pytest.raises(
        ValueError, match=r"OCI_RESOURCE_PRINCIPAL_VERSION.*~/\.oci/config.*oci setup config.*auth_type"
    ):
        resolve_signer()


def test_signers_and_auth_flows_are_used_unchanged() -> None:
    """Signers of mdstream, and `httpx.Auth`."""
    httpx = pytest.importorskip("httpx")
    given = [UnsignedSigner(), httpx.Auth(), httpx.BasicAuth("u", "p")]

    assert given == [resolve_signer(each) for each in given]


# --- copies, pickles, imports


def test_copies_share_a_signer(home: Path) -> None:
    """A copied model signs with the same key and shares its refreshes."""
    made = from_config("SESSION")

    assert [made, made] == [copy.copy(made), copy.deepcopy({"auth": made})["auth"]]


@pytest.mark.parametrize("profile", ["DEFAULT", "TEAM", "SESSION"])
def test_a_pickle_contains_the_source_and_not_the_key(home: Path, profile: str) -> None:
    """Another process reads the key again."""
    made = from_config(profile)

    written = pickle.dumps(made)

    assert_no_secret(written, repr(made), str(vars(made)))
    assert made.sign(REQUEST) == pickle.loads(written).sign(REQUEST)


def test_a_pickled_resource_principal_reads_the_environment_again(principal: str) -> None:
    """A pickled resource principal reads the environment again."""
    made = resource_principal()
    written = pickle.dumps(made)

    assert_no_secret(written, repr(made), str(vars(made)))
    assert made.sign(REQUEST) == pickle.loads(written).sign(REQUEST)


@needs_sdk
def test_a_pickled_sdk_principal_is_fetched_again() -> None:
    """The pickle contains the function that creates it, not the token."""
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
def test_a_credential_without_a_source_cannot_be_pickled(make: Callable[[], Signer]) -> None:
    """An error prevents a secret in a file."""
    made = make()

    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(made)
    assert_no_secret(repr(made), str(vars(made)))


def test_importing_the_module_imports_no_sdk() -> None:
    """`oci` and `cryptography` are imported when they are used."""
    code = "import sys, mdstream_core.auth.oci; print([m for m in ('oci', 'cryptography') if m in sys.modules])"

    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )

    assert "[]" == ran.stdout.strip()
