"""Constructor fields: literals, aliases, misspelt names; and the `repr` of a model. See also `type_checks/`."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
from pydantic import ValidationError

import langchain_mdstream
import llamaindex_mdstream
from mdstream_core import dialect, embedding_dialect, generation_dialect, rerank_dialect
from mdstream_core.auth import huawei, oci
from mdstream_core.dialects import EmbeddingDialectName, GenerationDialectName, RerankDialectName
from mdstream_core.options import APIFormat, ModelFamily

ENDPOINT = "https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.oc1.iad.x"
GENAI = {"compartment_id": "ocid1.compartment.oc1..x", "region": "us-chicago-1", "model": "mine"}

LangChain = langchain_mdstream.ChatOCIModelDeployment
LlamaIndex = llamaindex_mdstream.OCIDataScience

both = pytest.mark.parametrize("model_class", [LangChain, LlamaIndex])


@pytest.mark.parametrize(
    ("literal", "find"),
    [
        (GenerationDialectName, generation_dialect),
        (EmbeddingDialectName, embedding_dialect),
        (RerankDialectName, rerank_dialect),
    ],
)
def test_each_dialect_of_a_literal_exists(literal: Any, find: Callable[[str], Any]) -> None:
    """`dialect` finds it too."""
    assert [find(name).name for name in get_args(literal)] == list(get_args(literal))
    assert [dialect(name).name for name in get_args(literal)] == list(get_args(literal))


def test_the_literals_have_every_authentication_type() -> None:
    """Those that the signers know."""
    assert get_args(oci.OCIAuthTypeName) == tuple(oci._BY_TYPE)
    assert get_args(huawei.HuaweiAuthTypeName) == tuple(huawei._BY_TYPE)


MISSPELT = [
    ("temprature", "temperature"),
    ("max_token", "max_tokens"),
    ("end_point", "endpoint"),
    ("authtype", "auth_type"),
    ("base_ulr", "base_url"),
    ("model_nam", "model_name"),
    ("Timeout", "timeout"),
    ("max-retries", "max_retries"),
]


@both
@pytest.mark.parametrize(("name", "nearest"), MISSPELT)
def test_a_misspelt_field_is_reported_with_the_nearest(model_class: Any, name: str, nearest: str) -> None:
    """In the error of pydantic, without the value."""
    with pytest.raises(ValidationError, match=f"did you mean '{nearest}'") as caught:
        model_class(endpoint=ENDPOINT, **{name: "secret"})
    assert "secret" not in str(caught.value)
    assert caught.value.errors()[0]["loc"] == (name,)


@both
def test_a_field_like_no_other_has_no_suggestion(model_class: Any) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValidationError, match=r"not permitted \[") as caught:
        model_class(endpoint=ENDPOINT, zzzz=1)
    assert "did you mean" not in str(caught.value)


@both
@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("auth_type", "api_keys", "api_key"),
        ("auth_type", "ressource_principal", "resource_principal"),
        ("auth_type", "instanceprincipal", "instance_principal"),
        ("dialect", "openai", "openai-chat"),
        ("dialect", "opnai-chat", "openai-chat"),
        ("dialect", "oci_generics", "oci-generic"),
    ],
)
def test_a_wrong_choice_is_reported_when_the_model_is_built(
    model_class: Any, field: str, value: str, nearest: str
) -> None:
    """With the nearest choice, and all of them."""
    expected = f"{field}='{value}' is unknown(; did you mean '{nearest}'\\?)? \\(hint: use one of "
    with pytest.raises(ValidationError, match=expected) as caught:
        model_class(endpoint=ENDPOINT, **{field: value})
    assert nearest in str(caught.value)


@pytest.mark.parametrize("model_class", [langchain_mdstream.ChatOCIGenAI, llamaindex_mdstream.OCIGenAI])
@pytest.mark.parametrize(
    ("field", "spelling", "value"),
    [
        ("auth_type", "API_KEY", "api_key"),
        ("auth_type", "Instance-Principal", "instance_principal"),
        ("api_format", "cohere", "COHERE"),
        ("api_format", "CohereV2", "COHEREV2"),
        ("family", "GENERIC", "generic"),
    ],
)
def test_a_choice_in_another_spelling_is_accepted(model_class: Any, field: str, spelling: str, value: str) -> None:
    """In any case, with hyphens or underscores."""
    assert getattr(model_class(**GENAI, **{field: spelling}), field) == value


@pytest.mark.parametrize("model_class", [langchain_mdstream.ChatOCIGenAI, llamaindex_mdstream.OCIGenAI])
@pytest.mark.parametrize(
    ("field", "value", "choices"),
    [("api_format", "COHERE3", APIFormat), ("family", "mistral", ModelFamily), ("api_format", 3, APIFormat)],
)
def test_a_wrong_choice_of_a_platform_is_reported(model_class: Any, field: str, value: Any, choices: Any) -> None:
    """With all that there are."""
    with pytest.raises(ValidationError, match=f"{field}={value!r} is unknown") as caught:
        model_class(**GENAI, **{field: value})
    assert all(choice in str(caught.value) for choice in get_args(get_args(choices)[0]))


@both
def test_a_repr_is_one_readable_line(model_class: Any) -> None:
    """Where the model is and what was changed; neither defaults nor fields of the framework."""
    model = model_class(endpoint=ENDPOINT, model="llama", temperature=0.7, auth_type="none")
    expected = f"{model_class.__name__}(endpoint='{ENDPOINT}', model='llama', "
    assert repr(model).startswith(expected)
    assert {"auth_type='none'", "temperature=0.7"} == set(repr(model)[len(expected) : -1].split(", "))
    assert "\n" not in repr(model)


@both
def test_a_repr_has_no_secret(model_class: Any) -> None:
    """Of keys, headers, signers, proxies and clients."""
    secrets = {"api_key": "top-secret", "default_headers": {"x": "top-secret"}, "proxy": "http://u:top-secret@h:1"}
    assert "top-secret" not in repr(model_class(endpoint=ENDPOINT, **secrets))


ALIASES = [
    ("model_name", "model", "m"),
    ("model_id", "model", "m"),
    ("base_url", "endpoint", ENDPOINT),
    ("request_timeout", "timeout", 3.5),
    ("max_completion_tokens", "max_tokens", 7),
    ("stop_sequences", "stop", ["x"]),
]


@both
@pytest.mark.parametrize(("alias", "field", "value"), ALIASES)
def test_an_alias_sets_its_field(model_class: Any, alias: str, field: str, value: Any) -> None:
    """In both frameworks."""
    assert (
        getattr(
            model_class(**{"endpoint": ENDPOINT} | {alias: value} if field != "endpoint" else {alias: value}), field
        )
        == value
    )


@pytest.mark.parametrize(("alias", "field", "value"), [*ALIASES, ("is_stream", "streaming", True)])
def test_an_alias_can_be_read(alias: str, field: str, value: Any) -> None:
    """As the attributes of the packages that people move from."""
    given = {"endpoint": ENDPOINT, field: value}
    assert getattr(LangChain(**given), alias) == value


def test_an_alias_reads_the_field_of_its_platform() -> None:
    """`base_url` is another field on each."""
    chat = langchain_mdstream.ChatOCIGenAI(**GENAI, service_endpoint="https://x.example")
    assert chat.base_url == "https://x.example"
    assert (chat.provider, langchain_mdstream.ChatOCIGenAI(**GENAI, family="meta").provider) == (None, "meta")
    embeddings = langchain_mdstream.OCIGenAIEmbeddings(**GENAI, dimensions=256)
    assert embeddings.output_dimensions == 256


@both
def test_a_missing_endpoint_is_reported_with_an_example(model_class: Any) -> None:
    """The same in both frameworks."""
    with pytest.raises(ValidationError, match=r"endpoint is missing.*customer-oci\.com"):
        model_class()
