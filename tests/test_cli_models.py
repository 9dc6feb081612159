"""`mdstream models` without ENDPOINT: the model deployments of a compartment, listed by the `oci` SDK."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _auth_oci import KEY, KEY_ID, assert_no_secret, clean_environment, edit_config, home
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mdstream_core.auth import _oci_deployments
from mdstream_core.auth._oci_served_models import ServedModel, find_served_models
from mdstream_core.cli import main
from mdstream_core.emulator import Emulator
from mdstream_core.emulator.services.data_science import COMPARTMENT

pytest.importorskip("oci", reason="the SDK lists the deployments; install mdstream-llm[oci]")

__all__ = ["clean_environment", "home"]  # fixtures

HOST = "https://modeldeployment.us-ashburn-1.oci.customer-oci.com"


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """A `ModelDeploymentSummary`, as the service writes it (API reference of Data Science, 20190101)."""
    id = f"ocid1.datasciencemodeldeployment.oc1.iad.{number}"
    return {
        "id": id,
        "timeCreated": "2026-11-01T10:00:00.000Z",
        "displayName": f"deployment {number}",
        "projectId": "ocid1.datascienceproject.oc1..a",
        "createdBy": "ocid1.user.oc1..a",
        "compartmentId": COMPARTMENT,
        "modelDeploymentUrl": f"{HOST}/{id}",
        "lifecycleState": "ACTIVE",
        "freeformTags": {},
        **changes,
    }


AQUA = entry(1, displayName="llama", freeformTags={"OCI_AQUA": "active", "aqua_model_name": "meta-llama/Llama-3.1-8B"})
PLAIN = entry(2, displayName="classifier", freeformTags=None)
STOPPED = entry(3, lifecycleState="INACTIVE")


@pytest.fixture
def emulator(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulated control plane, which verifies signatures; pages have two entries."""
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    monkeypatch.setattr(_oci_deployments, "_PAGE_SIZE", 2)
    with Emulator(verify_signatures={KEY_ID: pem}) as emulator:
        monkeypatch.setenv("OCI_ODSC_SERVICE_ENDPOINT", emulator.data_science.endpoint)
        emulator.data_science.resources.deployments = [AQUA, STOPPED, PLAIN]
        yield emulator


def test_active_deployments_of_all_pages_are_listed(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, AQUA's model, OCID and endpoint of each; signed with the key of the config file."""
    assert 0 == main(["models", "--compartment", COMPARTMENT])
    lines = capsys.readouterr().out.splitlines()

    assert ["llama · meta-llama/Llama-3.1-8B · AQUA", f"  {AQUA['id']}", f"  {AQUA['modelDeploymentUrl']}"] == lines[:3]
    assert ["classifier", f"  {PLAIN['id']}", f"  {PLAIN['modelDeploymentUrl']}"] == lines[3:]
    assert 2 == len(emulator.requests)


def test_the_list_as_json(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """One document with the same facts and without secrets."""
    assert 0 == main(["models", "--compartment", COMPARTMENT, "--json"])
    text = capsys.readouterr().out
    document = json.loads(text)

    assert_no_secret(text)
    assert (COMPARTMENT, "oci-model-deployment", True) == (
        document["compartment"],
        document["platform"],
        document["complete"],
    )
    assert {
        "id": AQUA["id"],
        "display_name": "llama",
        "endpoint": AQUA["modelDeploymentUrl"],
        "is_aqua": True,
        "model": "meta-llama/Llama-3.1-8B",
        "models": [],
        "problem": "",
    } == document["deployments"][0]


def test_an_empty_compartment(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Inactive deployments are not listed."""
    emulator.data_science.resources.deployments = [STOPPED]

    assert 0 == main(["models", "--compartment", COMPARTMENT])
    assert "The compartment has no active model deployments.\n" == capsys.readouterr().out


def test_pages_are_bounded(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that does not end is cut, and the output says so."""
    monkeypatch.setattr(_oci_deployments, "_MAX_PAGES", 3)
    monkeypatch.setattr(_oci_deployments, "_PAGE_SIZE", 1)
    emulator.data_science.resources.deployments = [entry(number) for number in range(9)]

    assert 0 == main(["models", "--compartment", COMPARTMENT, "--json"])
    output = capsys.readouterr()

    assert 3 == len(emulator.requests)
    assert not json.loads(output.out)["complete"]
    assert "the compartment has more; 3 active deployments are listed" in output.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--compartment", "ocid1.compartment.oc1..other"], 1, "404 NotAuthorizedOrNotFound"),
        (["--compartment", COMPARTMENT, "--auth-type", "none"], 1, "401 NotAuthenticated"),
        (["--compartment", COMPARTMENT, "--profile", "NONE"], 3, "NONE"),
        (["--compartment", COMPARTMENT, "--region", "evil.example/"], 2, "is not a region name"),
        (["--compartment", COMPARTMENT, "--api-key", "env:KEY"], 2, "--api-key cannot list model deployments"),
        (["--compartment", COMPARTMENT, "--header", "a: b"], 2, "--header needs ENDPOINT"),
        (["--compartment", COMPARTMENT, "--platform", "sagemaker"], 2, "ENDPOINT is missing"),
        ([], 2, "pass an endpoint to list its models, or --compartment"),
    ],
)
def test_errors(
    arguments: list[str], code: int, message: str, emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has its exit code, and a hint."""
    assert code == main(["models", *arguments])
    error = capsys.readouterr().err

    assert message in error
    assert "hint: " in error
    assert_no_secret(error)


def test_no_connection(emulator: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's exception of a refused connection is `ConnectionFailed`, without retries."""
    monkeypatch.setenv("OCI_ODSC_SERVICE_ENDPOINT", "http://127.0.0.1:1")

    assert 1 == main(["models", "--compartment", COMPARTMENT])
    assert "no connection to OCI Data Science" in capsys.readouterr().err


def test_a_missing_region(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The profile has none, and no variable sets the service's URL."""
    edit_config(home, "region=us-ashburn-1\n", "")

    assert 2 == main(["models", "--compartment", COMPARTMENT])
    assert "--region is missing, and the credential has none" in capsys.readouterr().err


GROUP = "ocid1.datasciencemodelgroup.oc1.iad.1"


def grouped(**changes: Any) -> dict[str, Any]:
    """A deployment of a model group."""
    configuration = {"deploymentType": "MODEL_GROUP", "modelGroupConfigurationDetails": {"modelGroupId": GROUP}}
    return entry(4, displayName="grouped", modelDeploymentConfigurationDetails={**configuration, **changes})


def model_group(details: dict[str, Any], *members: dict[str, str]) -> dict[str, Any]:
    return {
        "id": GROUP,
        "createType": "CREATE",
        "modelGroupDetails": details,
        "memberModelEntries": {"memberModelDetails": list(members)},
    }


#: What oracle-ads 2.16.1 writes into the model group of a multi-model deployment (`ModelGroupConfig`).
MULTI_MODEL_CONFIG = json.dumps(
    {
        "models": [
            {
                "model_id": "ocid1.m.1",
                "model_path": "ocid1.m.1/artifact",
                "params": "--max-model-len 4096 --served-model-name llama --seed 42",
                "model_task": "text_generation",
                "fine_tune_weights": [{"model_id": "ocid1.m.2", "model_name": "sql", "model_path": "ocid1.m.2/x"}],
            },
            {"model_id": "ocid1.m.3", "model_path": "p", "params": "--served-model-name=gemma", "model_task": None},
        ]
    }
)
METADATA = {"key": "MULTI_MODEL_CONFIG", "value": MULTI_MODEL_CONFIG}

#: kind of deployment: (its model group, lines of its models)
GROUPS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "stacked, with inference keys": (
        model_group(
            {"type": "STACKED", "baseModelId": "ocid1.m.1"},
            {"inferenceKey": "basemodel", "modelId": "ocid1.m.1"},
            {"inferenceKey": "sql-lora-2", "modelId": "ocid1.m.2"},
        ),
        ['model="basemodel" · ocid1.m.1', 'model="sql-lora-2" · ocid1.m.2'],
    ),
    "stacked, without keys": (
        model_group(
            {"type": "STACKED", "baseModelId": "ocid1.m.1"}, {"modelId": "ocid1.m.1"}, {"modelId": "ocid1.m.2"}
        ),
        ['model="ocid1.m.1" · ocid1.m.1', 'model="ocid1.m.2" · ocid1.m.2'],
    ),
    "several models, by AQUA": (
        model_group(
            {"type": "HETEROGENEOUS", "customMetadataList": [METADATA]},
            {"modelId": "ocid1.m.1"},
            {"modelId": "ocid1.m.3"},
        ),
        ['model="llama" · ocid1.m.1', 'model="sql" · ocid1.m.2', 'model="gemma" · ocid1.m.3'],
    ),
}


@pytest.mark.parametrize(("group", "lines"), GROUPS.values(), ids=GROUPS)
def test_the_models_of_a_model_group_are_listed(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], group: dict[str, Any], lines: list[str]
) -> None:
    """What to pass as `model`, and the model's OCID, as the oci SDK reads them."""
    emulator.data_science.resources.deployments = [grouped()]
    emulator.data_science.resources.model_groups[GROUP] = group

    assert 0 == main(["models", "--compartment", COMPARTMENT])
    assert lines == [line.strip() for line in capsys.readouterr().out.splitlines()[3:]]


def test_a_model_group_that_cannot_be_read(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The deployments are listed nevertheless, with a warning."""
    emulator.data_science.resources.deployments = [grouped(), PLAIN]

    assert 0 == main(["models", "--compartment", COMPARTMENT])
    output = capsys.readouterr()
    assert "classifier" in output.out
    assert f"warning: OCI Data Science returned no model group {GROUP}: 404" in output.err


@pytest.mark.parametrize("models", [(), ("base", "sql-lora")], ids=["one model", "stacked"])
def test_the_emulator_lists_its_own_deployment(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], models: tuple[str, ...]
) -> None:
    """Without any setup; its URL and its models work as they are listed."""
    with Emulator(models=models) as own:
        monkeypatch.setenv("OCI_ODSC_SERVICE_ENDPOINT", own.data_science.endpoint)
        assert 0 == main(["models", "--compartment", own.data_science.compartment_id, "--json"])
        (deployment,) = json.loads(capsys.readouterr().out)["deployments"]

        assert own.endpoint == deployment["endpoint"]
        assert list(models or ("odsc-llm",)) == [model["name"] for model in deployment["models"]]
        for model in deployment["models"]:
            arguments = ["chat", deployment["endpoint"], "--model", model["name"], "--auth-type", "none", "Hello"]
            assert 0 == main(arguments)
            assert "Hello!" in capsys.readouterr().out


#: environment variables: names of the models
VARIABLES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "one name": ({"PARAMS": "--seed 42 --served-model-name odsc-llm"}, ["odsc-llm"]),
    "several names": ({"PARAMS": "--served-model-name a b --seed 42"}, ["a", "b"]),
    "quoted": ({"PARAMS": "--served-model-name='a b' --x"}, ["a b"]),
    "an open quote": ({"PARAMS": "--served-model-name a --x '"}, ["a"]),
    "no name": ({"PARAMS": "--seed 42"}, []),
    "several models": ({"MULTI_MODEL_CONFIG": MULTI_MODEL_CONFIG}, ["llama", "sql", "gemma"]),
    "no JSON": ({"MULTI_MODEL_CONFIG": "{"}, []),
    "another shape": ({"MULTI_MODEL_CONFIG": '{"models": [1, {"params": 2, "fine_tune_weights": "x"}]}'}, []),
    "none": ({}, []),
}


@pytest.mark.parametrize(("variables", "names"), VARIABLES.values(), ids=VARIABLES)
def test_the_environment_of_a_deployment_names_its_models(variables: dict[str, Any], names: list[str]) -> None:
    """As AQUA writes it; what cannot be read names none."""
    environment = SimpleNamespace(environment_variables=variables)
    details = SimpleNamespace(environment_configuration_details=environment)
    deployment = SimpleNamespace(model_deployment_configuration_details=details)

    assert names == [model.name for model in find_served_models(deployment)]
    assert all(isinstance(model, ServedModel) for model in find_served_models(deployment))
