"""Construction of models: names of arguments, profiles, and what is derived from the fields."""

import pickle
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from langchain_mdstream import (
    ChatModelArts,
    ChatOCIModelDeployment,
    ChatSagemakerEndpoint,
    OCIModelDeploymentEmbeddings,
    OCIModelDeploymentLLM,
    OCIModelDeploymentRerank,
)

_OCI = {"endpoint": "https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.x", "auth_type": "none"}

#: Models, and the private attributes that are derived from their fields.
DERIVED: dict[type[Any], tuple[dict[str, Any], set[str]]] = {
    ChatOCIModelDeployment: (_OCI, {"_service", "_no_count_reason", "_has_warned"}),
    OCIModelDeploymentLLM: (_OCI, {"_service", "_no_count_reason", "_has_warned"}),
    OCIModelDeploymentEmbeddings: (_OCI, {"_service"}),
    OCIModelDeploymentRerank: (_OCI, {"_service"}),
    ChatModelArts: ({"endpoint": "https://api.modelarts-maas.com/v1", "api_key": "k"}, {"_service", "_has_warned"}),
    ChatSagemakerEndpoint: (
        {"endpoint_name": "e", "region_name": "us-east-1", "auth_type": "none"},
        {"_service", "_aws_connection", "_no_count_reason"},
    ),
}


@pytest.mark.parametrize(("kind", "case"), DERIVED.items(), ids=[kind.__name__ for kind in DERIVED])
def test_a_changed_field_clears_what_is_derived_from_the_fields(
    kind: type[Any], case: tuple[dict[str, Any], set[str]]
) -> None:
    """After an assignment, in a copy with changes, and in a pickle; a private attribute is no field."""
    fields, names = case
    model = kind(**fields)
    derived = dict.fromkeys(names, "x")
    cleared = dict.fromkeys(names)

    model.__pydantic_private__.update(derived)
    model._service = "y"
    assert {**derived, "_service": "y"} == {name: model.__pydantic_private__[name] for name in names}
    for changed in (model.model_copy(update={"model": "m"}), pickle.loads(pickle.dumps(model))):
        assert cleared == {name: changed.__pydantic_private__[name] for name in names}
    model.model = "m"
    assert cleared == {name: model.__pydantic_private__[name] for name in names}


def test_a_subclass_has_names_of_its_own() -> None:
    """Its fields and aliases are accepted by it, and not by its base."""

    class Renamed(ChatOCIModelDeployment):
        flavor: str = ""
        aliases: ClassVar[Mapping[str, str]] = {**ChatOCIModelDeployment.aliases, "taste": "flavor"}

    assert "sweet" == Renamed(**_OCI, taste="sweet").flavor  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="taste"):
        ChatOCIModelDeployment(**_OCI, taste="sweet")
    assert "m" == ChatOCIModelDeployment(**_OCI, model_name="m").model


@pytest.mark.parametrize("profile", [None, {}, {"max_input_tokens": 4096}])
def test_a_profile_of_known_keys_causes_no_warning(profile: Any) -> None:
    """Neither the profile of the table nor that of a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ChatOCIModelDeployment(**_OCI, profile=profile)


def test_unknown_keys_of_a_profile_are_reported() -> None:
    """By LangChain's own warning, beside known keys too."""
    with pytest.warns(UserWarning, match=r"\['max_tokens'\]"):
        ChatOCIModelDeployment(**_OCI, profile={"max_input_tokens": 1, "max_tokens": 2})  # type: ignore[typeddict-unknown-key]
