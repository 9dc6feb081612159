"""The models of a model deployment of OCI Data Science: which names a request may have as `model`.

Sources: oracle-ads 2.16.1 (`ads/aqua/model/model.py`: a stacked deployment's names are the inference keys of its model
group, those of a multi-model deployment are in the group's metadata `MULTI_MODEL_CONFIG`; `ads/aqua/modeldeployment`:
`PARAMS` has `--served-model-name`); Oracle's sample on stacked inferencing (`model` is an inference key, or the OCID of
the model if it has none); the models of the `oci` SDK 2.189.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mdstream_core import _json

_CONFIG = "MULTI_MODEL_CONFIG"
_SERVED_NAME = "--served-model-name"

#: The most models that are listed of a deployment; a bound for damaged configurations.
_MAX_MODELS = 500


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of a deployment.

    Attributes:
        name: What requests have as `model`.
        id: OCID of the model in the model catalog; empty if the configuration names none.
    """

    name: str
    id: str = ""


def find_model_group_id(entry: Any) -> str:
    """Return the OCID of a deployment's model group; empty if it deploys one model."""
    details = getattr(entry, "model_deployment_configuration_details", None)
    group = getattr(details, "model_group_configuration_details", None)
    return str(getattr(group, "model_group_id", None) or "")


def find_served_models(entry: Any, group: Any = None) -> tuple[ServedModel, ...]:
    """List the models of a deployment, without duplicates.

    Args:
        entry: The deployment, an object of the SDK.
        group: Its model group, if it has one.
    """
    details = getattr(entry, "model_deployment_configuration_details", None)
    environment = getattr(details, "environment_configuration_details", None)
    variables = getattr(environment, "environment_variables", None) or {}
    found: dict[str, ServedModel] = {}
    for model in (*_of_group(group), *_of_config(variables.get(_CONFIG)), *_of_params(variables.get("PARAMS"))):
        if len(found) < _MAX_MODELS and model.name:
            known = found.get(model.name)
            found[model.name] = known if known and known.id else model
    return tuple(found.values())


def _of_group(group: Any) -> Iterator[ServedModel]:
    details = getattr(group, "model_group_details", None)
    metadata = {item.key: item.value for item in getattr(details, "custom_metadata_list", None) or ()}
    yield from _of_config(metadata.get(_CONFIG))
    is_stacked = getattr(details, "type", None) == "STACKED"
    entries = getattr(group, "member_model_entries", None)
    for member in getattr(entries, "member_model_details", None) or ():
        id = str(member.model_id or "")
        yield ServedModel(str(member.inference_key or (id if is_stacked else "")), id)


def _of_config(text: Any) -> Iterator[ServedModel]:
    """Yield the models of `MULTI_MODEL_CONFIG`, base models before their fine-tuned weights."""
    try:
        config = _json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return
    for model in _objects(config.get("models") if isinstance(config, dict) else None):
        id = _text(model.get("model_id"))
        yield from (ServedModel(one.name, id) for one in _of_params(model.get("params")))
        for weights in _objects(model.get("fine_tune_weights")):
            yield ServedModel(_text(weights.get("model_name")), _text(weights.get("model_id")))


def _of_params(params: Any) -> Iterator[ServedModel]:
    """Yield the names after `--served-model-name` in the arguments of vLLM."""
    if not isinstance(params, str):
        return
    try:
        words = shlex.split(params)
    except ValueError:  # a quote is not closed
        words = params.split()
    is_name = False
    for word in words:
        option, equals, value = word.partition("=")
        if is_name and not word.startswith("-"):
            yield ServedModel(word)
            continue
        is_name = word == _SERVED_NAME
        if equals and option == _SERVED_NAME:
            yield ServedModel(value)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
