"""Fields that set the authentication: the bearer key of the environment, and the values of secret fields."""

import os
from typing import Any

from pydantic import SecretStr

#: The environment variable of a bearer key.
API_KEY_VARIABLE = "MDSTREAM_API_KEY"

#: Fields that set the authentication.
CREDENTIALS = ("api_key", "auth", "auth_type")


def with_env_api_key(fields: dict[str, Any], *, enabled: bool) -> dict[str, Any]:
    """Add the bearer key of the environment to fields that set no authentication."""
    key = os.environ.get(API_KEY_VARIABLE) if enabled else None
    return {**fields, "api_key": SecretStr(key)} if key and not any(map(fields.get, CREDENTIALS)) else fields


def reveal_secret(secret: SecretStr | None) -> str | None:
    """Return the value of a secret field."""
    return secret.get_secret_value() if secret else None
