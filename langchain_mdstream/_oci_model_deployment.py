"""Endpoint fields of OCI Data Science model deployments."""

import os
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

import mdstream_core
from langchain_mdstream._oci import OCIAuthFields

if TYPE_CHECKING:
    from mdstream_core import Platform


class OCIModelDeploymentMixin(OCIAuthFields):
    """Endpoint fields of an OCI Data Science model deployment."""

    model: str = "odsc-llm"
    """Name of the served model; also accepted as `model_name`. Containers of AQUA serve it as `odsc-llm`."""

    endpoint: str = Field(default_factory=lambda: os.environ.get("OCI_LLM_ENDPOINT", ""))
    """URL of the deployment, with or without `/predict…`, or its OCID. Default: the environment variable
    `OCI_LLM_ENDPOINT`. Example:
    `https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.…`."""

    region: str | None = None
    """Region for an `endpoint` that is an OCID, such as `us-ashburn-1`. `None` uses the region in the OCID."""

    route: str | None = None
    """Path inside the container, such as `/v1/chat/completions`. `None` uses the path of the dialect, `""` the one that
    the deployment is configured with."""

    provider_name: ClassVar[str] = "oci_model_deployment"
    address_fields: ClassVar[tuple[str, ...]] = ("endpoint", "region", "route")

    def _build_platform(self) -> "Platform":
        if not self.endpoint:
            raise ValueError(
                "endpoint is missing (hint: set endpoint= or OCI_LLM_ENDPOINT to "
                "'https://modeldeployment.<region>.oci.customer-oci.com/<ocid>')"
            )
        return mdstream_core.OCIModelDeployment(self.endpoint, self.region, self.route)
