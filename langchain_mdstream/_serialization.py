"""Serialization by `langchain_core.load`, of models and guardrails."""

from collections.abc import Mapping
from typing import ClassVar


class LangChainSerialization:
    """Serialization without secrets, headers, signers and clients."""

    secret_variables: ClassVar[Mapping[str, str]]

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return `True`: objects are serialized without secrets, headers, signers and clients."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return the module of the class, where `langchain_core.load.load` finds it."""
        return cls.__module__.split(".")

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Environment variables that replace the secrets in a serialized object."""
        return dict(self.secret_variables)
