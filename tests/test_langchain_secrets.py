"""Secrets, serialization and tracing of LangChain's models."""

import json
from typing import Any

import pytest
from _langchain import ANSWER, QUESTION, SECRET, chat_at, cloud, emulator
from langchain_core.load import dumpd, dumps, load
from pydantic import ValidationError

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentLLM
from mdstream_core import errors, tracing
from mdstream_core.emulator import Emulator, Fault

__all__ = ["cloud", "emulator"]  # fixtures


def test_secrets_are_nowhere(cloud: Emulator) -> None:
    """A key is in no repr, dump, serialization, trace, error, or metadata."""
    chat = chat_at(cloud, auth_type=None, api_key=SECRET, default_headers={"X-Token": SECRET})
    cloud.script(Fault("trailer", after=3))
    with pytest.raises(errors.StreamFailure) as caught:
        list(chat.stream(QUESTION))

    assert f"Bearer {SECRET}" == cloud.last.headers["authorization"]
    shown = [
        repr(chat),
        str(chat),
        dumps(chat),
        str(chat.model_dump()),
        str(chat.asdict()),
        str(chat._get_llm_string()),
        str(chat._identifying_params),
        repr(caught.value),
        str(vars(caught.value)),
        json.dumps(caught.value.response.json()),  # type: ignore[union-attr]
        str(caught.value.response.headers),  # type: ignore[union-attr]
        str(vars(caught.value.__cause__)),
    ]
    assert [] == [text for text in shown if SECRET in text]


def test_a_wrong_option_shows_no_secret() -> None:
    """What is wrong is named; what else was given is not shown."""
    with pytest.raises(ValidationError) as caught:
        ChatOCIModelDeployment(endpoint="nowhere", auth={"key": SECRET}, default_headers={"authorization": SECRET})

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("auth_type", ["none", "NONE", None])
def test_a_key_in_the_environment_counts_where_nothing_else_was_said(
    cloud: Emulator, monkeypatch: pytest.MonkeyPatch, auth_type: str | None
) -> None:
    """`MDSTREAM_API_KEY` does not stand in the way of another `auth_type`."""
    monkeypatch.setenv("MDSTREAM_API_KEY", SECRET)
    chat_at(cloud, auth_type=auth_type).invoke("hi")

    assert (auth_type is None) == ("authorization" in cloud.last.headers)


def test_loading_what_was_dumped(cloud: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load(dumpd(model))` gives the model again; the key comes from the environment."""
    monkeypatch.setenv("MDSTREAM_API_KEY", SECRET)
    for model in (
        chat_at(cloud, auth_type=None, api_key=SECRET, temperature=0.3),
        OCIModelDeploymentLLM(endpoint=cloud.endpoint, api_key=SECRET, temperature=0.3),  # type: ignore[arg-type]
    ):
        again = load(
            dumpd(model), valid_namespaces=["langchain_mdstream"], allowed_objects="all", secrets_from_env=True
        )
        assert model == again


def test_versions_are_traced(cloud: Emulator) -> None:
    """A trace says which packages made it."""
    assert {"langchain-core", "mdstream-llm"} <= set((chat_at(cloud).metadata or {})["lc_versions"])


def test_hooks_are_told_what_happens(cloud: Emulator) -> None:
    """Each attempt, the answer's head, the first event and the end are told, in this order, without credentials."""
    told: list[Any] = []
    cloud.script(Fault("refuse", "lb_bandwidth"), None)
    list(chat_at(cloud, auth_type=None, api_key=SECRET, hooks=(told.append,)).stream(QUESTION))

    first = [tracing.Asked, tracing.Answered, tracing.AskedAgain]
    then = [tracing.Asked, tracing.Answered, tracing.Started, tracing.Ended]
    assert [*first, *then] == [type(moment) for moment in told]
    assert ANSWER == told[-1].reply.text
    assert SECRET not in repr(told)
