"""List the model deployments of a compartment, through the `oci` SDK's client of OCI Data Science.

The list is a request to the control plane, which has another host than the deployments themselves.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mdstream_core._addresses import check_name
from mdstream_core.auth._oci_served_models import ServedModel, find_model_group_id, find_served_models
from mdstream_core.auth._signer import Signer
from mdstream_core.errors import ConnectionFailed, MDStreamError, MissingExtra, error_class_for_status, error_status
from mdstream_core.http import Request

#: The service's largest page, and the most pages that are read.
_PAGE_SIZE, _MAX_PAGES = 100, 50

#: Seconds for a connection, and for a response unless the caller sets another limit.
_CONNECT_TIMEOUT, _READ_TIMEOUT = 10.0, 60.0

#: Variable with another URL of the service, as oracle-ads reads it (`ads/config.py`).
_ENDPOINT_VARIABLE = "OCI_ODSC_SERVICE_ENDPOINT"

#: Tags that AQUA sets on its deployments (oracle-ads, `ads/aqua/common/enums.py`).
_AQUA_TAG, _MODEL_NAME_TAG = "OCI_AQUA", "aqua_model_name"

#: The SDK requires these fields of a config, but does not read them if a signer is passed.
_UNUSED_IDENTITY = {
    "tenancy": "ocid1.tenancy.oc1..unused",
    "user": "ocid1.user.oc1..unused",
    "fingerprint": ":".join(["00"] * 16),
    "key_content": "unused",
}


@dataclass(frozen=True, slots=True)
class ModelDeployment:
    """An active model deployment.

    Attributes:
        id: Its OCID.
        display_name: Its name in the console.
        endpoint: Its URL, which models and the command line take as the endpoint.
        is_aqua: Whether AI Quick Actions (AQUA) created it.
        model: Name of the AQUA model; empty if AQUA recorded none.
        models: The models that it serves, as far as its configuration names them: what requests have as `model`.
        problem: Why the models of its model group could not be read; empty if there was no problem.
    """

    id: str
    display_name: str
    endpoint: str
    is_aqua: bool
    model: str
    models: tuple[ServedModel, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentList:
    """Active model deployments of a compartment.

    Attributes:
        deployments: The deployments, in the service's order.
        is_complete: Whether these are all; `False` if the compartment has more pages than are read.
    """

    deployments: list[ModelDeployment] = field(default_factory=list)
    is_complete: bool = True


def list_model_deployments(
    signer: Signer,
    compartment_id: str,
    *,
    region: str | None,
    timeout: float | None = None,
    ca_file: str | None = None,
) -> DeploymentList:
    """List the active model deployments of a compartment (`GET /20190101/modelDeployments`).

    Reads at most 50 pages of 100 deployments, and the model group of each deployment that has one
    (`GET /20190101/modelGroups/{id}`). No request is retried.

    Args:
        signer: Signs the requests.
        compartment_id: OCID of the compartment.
        region: Region such as `"us-ashburn-1"`. The variable `OCI_ODSC_SERVICE_ENDPOINT` overrides the URL of the
            service, as in oracle-ads.
        timeout: Longest wait for the next byte of a response, in seconds. Default: 60.
        ca_file: PEM file with the certificate authorities to trust.

    Raises:
        MissingExtra: The `oci` SDK is not installed.
        ValueError: There is no region.
        MDStreamError: The service was not reached, or rejected the request.

    Example:
        >>> list_model_deployments(signer, "ocid1.compartment.oc1..a", region="us-ashburn-1")  # doctest: +SKIP
    """
    client = _create_client(signer, region, timeout or _READ_TIMEOUT)
    session = client.base_client.session
    if ca_file:
        session.verify = ca_file
    found: list[ModelDeployment] = []
    page: str | None = None
    try:
        for _ in range(_MAX_PAGES):
            # Filtered here, because the service accepts one filter beside the compartment.
            with _map_exceptions():
                response = client.list_model_deployments(compartment_id, limit=_PAGE_SIZE, page=page)
            found += [_to_deployment(client, entry) for entry in response.data if entry.lifecycle_state == "ACTIVE"]
            page = response.next_page
            if not page:
                return DeploymentList(found)
        return DeploymentList(found, is_complete=False)
    finally:
        session.close()


def _create_client(signer: Signer, region: str | None, timeout: float) -> Any:
    endpoint = os.environ.get(_ENDPOINT_VARIABLE)
    if not region and not endpoint:
        raise ValueError("region_name is missing, and the credential has none (hint: set region_name)")
    if region:
        check_name("region_name", region, "oci region or key")
    try:
        from oci.data_science import DataScienceClient  # noqa: PLC0415
        from oci.retry import NoneRetryStrategy  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("oci", "oci") from None
    with _map_exceptions():
        return DataScienceClient(
            {**_UNUSED_IDENTITY, "region": region or "us-ashburn-1"},
            signer=_RequestsAuth(signer),
            timeout=(_CONNECT_TIMEOUT, timeout),
            retry_strategy=NoneRetryStrategy(),
            **({"service_endpoint": endpoint} if endpoint else {}),
        )


class _RequestsAuth:
    """Signs a request of the SDK's HTTP client with one of our signers."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, prepared: Any, **_: Any) -> Any:
        if self._signer.needs_refresh():
            self._signer.refresh(self._signer.generation)
        headers = {name.lower(): str(value) for name, value in prepared.headers.items()}
        signed = self._signer.sign(Request(prepared.method, prepared.url, headers, b""))
        prepared.headers.update(signed.headers)
        return prepared


def _to_deployment(client: Any, entry: Any) -> ModelDeployment:
    tags: Mapping[str, str] = entry.freeform_tags or {}
    group, problem = None, ""
    if group_id := find_model_group_id(entry):
        try:
            with _map_exceptions(f"model group {group_id}", "data-science-family"):
                group = client.get_model_group(group_id).data
        except MDStreamError as error:  # the deployment can be used without its list
            problem = str(error)
    return ModelDeployment(
        id=str(entry.id or ""),
        display_name=str(entry.display_name or ""),
        endpoint=str(entry.model_deployment_url or ""),
        is_aqua=_AQUA_TAG in tags,
        model=str(tags.get(_MODEL_NAME_TAG) or ""),
        models=find_served_models(entry, group),
        problem=problem,
    )


@contextmanager
def _map_exceptions(
    subject: str = "list of model deployments", resource: str = "data-science-model-deployments"
) -> Iterator[None]:
    """Map exceptions of the SDK's clients to mdstream errors."""
    from oci import exceptions  # noqa: PLC0415

    try:
        yield
    except exceptions.ServiceError as error:
        status = error_status(error.status)
        error_class = error_class_for_status(status) if status else MDStreamError
        hint = (
            f"check the compartment's OCID, the region, and the policy 'allow group … to read {resource} in "
            "compartment …'"
        )
        raise error_class(
            f"OCI Data Science returned no {subject}: {error.status} {error.code}: {error.message} (hint: {hint})",
            status=status,
            code=error.code,
            request_id=error.request_id,
        ) from error
    except (exceptions.RequestException, exceptions.ConnectTimeout) as error:
        raise ConnectionFailed(
            f"no connection to OCI Data Science: {error} (hint: check the region, the proxy and the network)"
        ) from error
    except (exceptions.ClientError, UnicodeError) as error:
        raise MDStreamError(f"the oci SDK could not list the model deployments: {error}") from error
