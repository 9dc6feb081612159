"""The names of `auth_type`, in types that pydantic and editors read. They are apart, because they are needed first."""

from typing import Literal

#: The names of `auth_type`.
OCIAuthTypeName = Literal[
    "api_key",
    "session_token",
    "security_token",
    "resource_principal",
    "instance_principal",
    "oke_workload",
    "oke_workload_identity",
    "workload_identity",
    "bearer",
    "none",
]

#: The names of `auth_type`.
HuaweiAuthTypeName = Literal["token", "password", "aksk", "appcode", "app", "api_key", "none"]
