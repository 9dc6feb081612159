"""Authentication fields of OCI model deployments and OCI Generative AI."""

from typing import TYPE_CHECKING, Any

from pydantic import Field

from llamaindex_mdstream._platform_fields import PlatformFields
from mdstream_core._lazy import LazyModule
from mdstream_core.options import OCIAuthType

if TYPE_CHECKING:
    from mdstream_core.auth import oci
else:
    oci = LazyModule("mdstream_core.auth.oci")


class OCIAuthFields(PlatformFields):
    """Authentication with Oracle's services."""

    auth_type: OCIAuthType | None = Field(
        default=None,
        description="Authentication method, such as `api_key`, `session_token`, `resource_principal`, "
        "`instance_principal`, `oke_workload`, `bearer` or `none` (unsigned requests). Default: the first credential "
        "that is found.",
    )
    auth_profile: str | None = Field(
        default=None,
        description="Profile of the OCI config file. Default: `OCI_CLI_PROFILE`, `OCI_CONFIG_PROFILE` or `DEFAULT`.",
    )
    auth_file_location: str | None = Field(
        default=None, description="Path of the OCI config file. Default: `OCI_CONFIG_FILE` or `~/.oci/config`."
    )

    def _build_auth(self) -> Any:
        return oci.resolve_signer(
            self.auth,
            auth_type=self.auth_type,
            auth_profile=self.auth_profile,
            auth_file_location=self.auth_file_location,
            api_key=self._bearer_key() if self.api_key or self._normalized_auth_type() in {None, "bearer"} else None,
        )
