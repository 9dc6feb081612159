"""Authentication fields of OCI model deployments and OCI Generative AI."""

from typing import TYPE_CHECKING, Any

from langchain_mdstream._connection_fields import ConnectionFields
from langchain_mdstream._credentials import reveal_secret
from mdstream_core._lazy import LazyModule
from mdstream_core.options import OCIAuthType

if TYPE_CHECKING:
    from mdstream_core.auth import oci
else:
    oci = LazyModule("mdstream_core.auth.oci")


class OCIAuthFields(ConnectionFields):
    """Authentication fields that both OCI services share."""

    auth_type: OCIAuthType | None = None
    """Authentication method. `None` uses the first credential that is found: in the other fields, in the environment or
    in a configuration file. `none` sends unsigned requests."""

    auth_profile: str | None = None
    """Profile of the OCI configuration file. `None` uses `OCI_CLI_PROFILE`, `OCI_CONFIG_PROFILE` or `DEFAULT`."""

    auth_file_location: str | None = None
    """Path of the OCI configuration file. `None` uses `OCI_CONFIG_FILE`, `OCI_CONFIG_LOCATION` or `~/.oci/config`."""

    def _build_auth(self) -> Any:
        return oci.resolve_signer(
            self.auth,
            auth_type=self.auth_type,
            auth_profile=self.auth_profile,
            auth_file_location=self.auth_file_location,
            api_key=reveal_secret(self.api_key),
        )
