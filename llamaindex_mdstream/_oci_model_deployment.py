"""Endpoint fields of OCI Data Science model deployments."""

from typing import TYPE_CHECKING

from pydantic import Field

import mdstream_core
from llamaindex_mdstream._oci import OCIAuthFields

if TYPE_CHECKING:
    from mdstream_core import Platform


class OCIModelDeploymentMixin(OCIAuthFields):
    """Endpoint of an OCI Data Science model deployment."""

    endpoint: str = Field(
        default="",
        description="Required: URL or OCID of the model deployment. A URL may end in `/predict`, "
        "`/predictWithResponseStream` or an inference path behind them, and may be a private endpoint's.",
    )
    region: str | None = Field(
        default=None,
        description="Region of a deployment given as a bare OCID, such as `us-ashburn-1`. Default: the OCID's own.",
    )
    route: str | None = Field(
        default=None,
        description="Inference path of the container, such as `/generate`. Default: the OpenAI API's path; an empty "
        "string sends none.",
    )

    def _build_platform(self) -> "Platform":
        if not self.endpoint:
            raise ValueError(
                "endpoint is missing (hint: set endpoint='https://modeldeployment.<region>.oci.customer-oci.com/<ocid>')"
            )
        return mdstream_core.OCIModelDeployment(self.endpoint, self.region, self.route)
