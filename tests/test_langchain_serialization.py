"""Serialized form of every LangChain model, as a snapshot: stored chains depend on it."""

import re
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, load
from langchain_core.load.serializable import Serializable
from syrupy.assertion import SnapshotAssertion

import langchain_mdstream
from langchain_mdstream import (
    ChatModelArts,
    ChatOCIGenAI,
    ChatOCIModelDeployment,
    ChatOCIModelDeploymentTGI,
    ChatOCIModelDeploymentVLLM,
    ChatOCIOpenAI,
    ChatSagemakerEndpoint,
    ModelArtsLLM,
    OCIGenAI,
    OCIGuardrails,
    OCIModelDeploymentLLM,
    OCIModelDeploymentTGI,
    OCIModelDeploymentVLLM,
    SagemakerEndpoint,
)

DEPLOYMENT = {"endpoint": "https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", "api_key": "secret"}
GENAI = {"region": "us-chicago-1", "compartment_id": "ocid1.compartment.oc1..a", "api_key": "secret"}
SAGEMAKER = {"endpoint_name": "my-endpoint", "region_name": "us-east-1", "aws_secret_access_key": "secret"}
MODELARTS = {"endpoint": "https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1b", "token": "secret"}

#: Constructor arguments of each class; the environment variables of its secrets are all "secret".
MODELS: dict[type[Any], dict[str, Any]] = {
    ChatModelArts: MODELARTS,
    ChatOCIGenAI: {**GENAI, "model": "xai.grok-4"},
    ChatOCIModelDeployment: DEPLOYMENT,
    ChatOCIModelDeploymentTGI: DEPLOYMENT,
    ChatOCIModelDeploymentVLLM: DEPLOYMENT,
    ChatOCIOpenAI: {**GENAI, "model": "openai.gpt-4.1", "conversation_store_id": "store_1"},
    ChatSagemakerEndpoint: {**SAGEMAKER, "aws_access_key_id": "AK"},
    ModelArtsLLM: MODELARTS,
    OCIGenAI: {**GENAI, "model": "cohere.command"},
    OCIGuardrails: {**GENAI, "pii": "redact", "guardrail_version_config": "1.0.1"},
    OCIModelDeploymentLLM: DEPLOYMENT,
    OCIModelDeploymentTGI: DEPLOYMENT,
    OCIModelDeploymentVLLM: DEPLOYMENT,
    SagemakerEndpoint: {**SAGEMAKER, "aws_access_key_id": "AK"},
}

PUBLIC = [getattr(langchain_mdstream, name) for name in langchain_mdstream.__all__]
SERIALIZABLE = {
    member
    for member in PUBLIC
    if isinstance(member, type) and issubclass(member, Serializable) and member.is_lc_serializable()
}

each_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)


def test_every_serializable_class_has_a_snapshot() -> None:
    """Each class is in the table, and has a snapshot."""
    assert SERIALIZABLE == MODELS.keys()


@each_model
def test_serialized_form(cls: type[Any], snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to the snapshot and without secrets; loading it returns an equal model."""
    model = cls(**MODELS[cls])
    serialized = dumpd(model)
    for variable in model.lc_secrets.values():
        monkeypatch.setenv(variable, "secret")

    assert serialized == snapshot
    assert "'secret'" not in re.sub(r"'type': 'secret'", "", str(serialized))
    again = load(serialized, valid_namespaces=["langchain_mdstream"], allowed_objects="all", secrets_from_env=True)
    assert (type(model), model.dict()) == (type(again), again.dict())


@pytest.mark.parametrize(
    "options", [{}, {"top_k": 5}, {"watermark": True}, {"api": "/generate", "best_of": 1}], ids=str
)
def test_a_loaded_model_of_tgi_sends_the_same_request(options: dict[str, Any]) -> None:
    """It keeps which options were set, because the defaults depend on the API."""
    model = OCIModelDeploymentTGI(endpoint=DEPLOYMENT["endpoint"], **options)
    again = load(dumpd(model), valid_namespaces=["langchain_mdstream"], allowed_objects="all")

    assert model._parameters() == again._parameters()


def test_every_chat_model_has_a_snapshot_of_the_standard_tests() -> None:
    """Each class runs `test_serdes` of langchain-tests with a committed snapshot."""
    stored = (Path(__file__).parent / "__snapshots__/test_langchain_standard.ambr").read_text(encoding="utf-8")
    names = set(re.findall(r"^# name: Test(\w+)Unit\.test_serdes\[serialized\]$", stored, re.MULTILINE))

    assert {cls.__name__ for cls in SERIALIZABLE if issubclass(cls, BaseChatModel)} == names


@pytest.mark.parametrize("cls", [cls for cls in MODELS if cls is not OCIGuardrails], ids=lambda cls: cls.__name__)
def test_the_type_names_provider_and_kind(cls: type[Any]) -> None:
    """LangChain passes `_llm_type` to tracers as `_type` of a run."""
    model = cls(**MODELS[cls])
    kind = "chat" if isinstance(model, BaseChatModel) else "llm"
    assert f"{model.provider_name}_{kind}" == model._llm_type
