"""The public names of installed packages: classes with their constructor arguments and methods, functions, values."""

import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any, TypeVar

#: Distributions and their modules.
PACKAGES: dict[str, tuple[str, ...]] = {
    "langchain-oci": ("langchain_oci",),
    "langchain-community": (
        "langchain_community.chat_models.oci_data_science",
        "langchain_community.chat_models.oci_generative_ai",
        "langchain_community.llms.oci_data_science_model_deployment_endpoint",
        "langchain_community.llms.oci_generative_ai",
        "langchain_community.llms.sagemaker_endpoint",
        "langchain_community.embeddings.oci_generative_ai",
        "langchain_community.embeddings.sagemaker_endpoint",
    ),
    "langchain-aws": ("langchain_aws.chat_models.sagemaker_endpoint", "langchain_aws.llms.sagemaker_endpoint"),
    "llama-index-llms-oci-data-science": ("llama_index.llms.oci_data_science",),
    "llama-index-llms-oci-genai": ("llama_index.llms.oci_genai",),
    "llama-index-llms-sagemaker-endpoint": ("llama_index.llms.sagemaker_endpoint",),
    "llama-index-embeddings-oci-data-science": ("llama_index.embeddings.oci_data_science",),
    "llama-index-embeddings-oci-genai": ("llama_index.embeddings.oci_genai",),
    "llama-index-embeddings-sagemaker-endpoint": ("llama_index.embeddings.sagemaker_endpoint",),
}

#: Modules that the packages import and that are not needed for their names, with the attributes that they look up:
#: oracle-ads installs 160 packages, llama-cpp-python is compiled.
_STAND_INS: dict[str, tuple[str, ...]] = {
    "ads": (),
    "ads.common": (),
    "ads.common.auth": ("default_signer",),
    "ads.model": (),
    "ads.model.common": (),
    "ads.model.common.utils": ("_is_json_serializable",),
    "llama_index.llms.llama_cpp": (),
    "llama_index.llms.llama_cpp.llama_utils": ("completion_to_prompt", "messages_to_prompt"),
}

#: Names that a framework or pydantic calls, and users do not.
_HOOKS = frozenset({"model_post_init"})


def record() -> dict[str, Any]:
    """Return the names of all packages.

    Raises:
        ModuleNotFoundError: A package is not installed.
    """
    stand_in()
    return {
        package: {"version": version(package), "names": _merge(import_module(module) for module in modules)}
        for package, modules in PACKAGES.items()
    }


def stand_in() -> None:
    """Put modules that are not installed, and not needed for the names, in place of the real ones."""
    for name, attributes in _STAND_INS.items():
        module = ModuleType(name)
        for attribute in attributes:
            setattr(module, attribute, lambda *_, **__: "the prompt")
        sys.modules.setdefault(name, module)
        parent, _, child = name.rpartition(".")
        if parent in _STAND_INS:
            setattr(sys.modules[parent], child, sys.modules[name])


def _merge(modules: Iterator[ModuleType]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for module in modules:
        for name in _public_names(module):
            names[name] = _describe(getattr(module, name))
    return dict(sorted(names.items()))


def _public_names(module: ModuleType) -> list[str]:
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
    return [name for name in own if not name.startswith("_") and not isinstance(getattr(module, name), TypeVar)]


def _describe(value: Any) -> dict[str, Any]:
    if inspect.isclass(value):
        return {"kind": "class", "arguments": _arguments(value), "methods": _methods(value)}
    return {"kind": "function", "arguments": _parameters(value)} if callable(value) else {"kind": "value"}


def _own_bases(cls: type) -> list[type]:
    """The class and its bases from the same package: the rest is the framework's."""
    package = cls.__module__.split(".")[: 3 if cls.__module__.startswith("llama_index.") else 1]
    return [base for base in cls.__mro__ if base.__module__.split(".")[: len(package)] == package]


def _arguments(cls: type) -> list[str]:
    """Names that the constructor accepts, without those of the framework's base classes."""
    fields = getattr(cls, "model_fields", {})
    bases = _own_bases(cls)
    names = [name for base in bases for name in inspect.get_annotations(base) if name in fields]
    aliases = [fields[name].alias for name in names if fields[name].alias]
    own = [base for base in bases if "__init__" in base.__dict__]
    explicit = _parameters(own[0].__init__)[1:] if own else []
    return sorted({name for name in (*names, *aliases, *explicit) if not name.startswith("_")})


def _methods(cls: type) -> list[str]:
    """Public methods, properties and attributes of the class, without those of the framework and validators."""
    decorators = getattr(cls, "__pydantic_decorators__", None)
    validators = {
        name
        for kind in ("validators", "field_validators", "root_validators", "model_validators")
        for name in getattr(decorators, kind, {})
    }
    fields = {*getattr(cls, "model_fields", {}), *validators, *_HOOKS}
    names = {name for base in _own_bases(cls) for name, value in base.__dict__.items() if _is_member(value)}
    return sorted(name for name in names if not name.startswith("_") and name not in fields)


def _is_member(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)


def _parameters(function: Any) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [name for name, one in inspect.signature(function).parameters.items() if one.kind not in kinds]
