"""Arguments of a single call: which of the options of a model it cannot have."""

from collections.abc import Mapping
from typing import Any

#: Options that are set at construction and not in a call; `requests_kwargs` is langchain-oci's.
CONNECTION_OPTIONS = frozenset(
    {"timeout", "max_retries", "endpoint", "api_key", "auth", "auth_type", "default_headers", "verify", "proxy"}
    | {"request_timeout", "requests_kwargs", "base_url", "headers"}
)


def reject_connection_options(kwargs: Mapping[str, Any]) -> None:
    """Raise `ValueError` for connection options among the arguments of a call, which would be sent in the payload."""
    if not CONNECTION_OPTIONS.isdisjoint(kwargs):
        names = ", ".join(sorted(CONNECTION_OPTIONS & kwargs.keys()))
        raise ValueError(
            f"{names} cannot be set for a single call (hint: set it in the model, or use model_copy(update=…))"
        )
