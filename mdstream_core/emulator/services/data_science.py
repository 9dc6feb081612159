"""The control plane of OCI Data Science, as far as a list of model deployments needs it.

`GET /20190101/modelDeployments`, in pages, and `GET /20190101/modelGroups/{id}`. Source: the models of the `oci` SDK
2.189, which reads the responses in the tests.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._request_target import RateLimitScope, RequestTarget
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan
from mdstream_core.emulator.faults.error_responses import ERROR_RESPONSES, oci_error_response
from mdstream_core.emulator.services.oci_model_deployment import OCID

PREFIX = "/20190101/"
COMPARTMENT = "ocid1.compartment.oc1..emulated"

_GROUP = "ocid1.datasciencemodelgroup.oc1.iad.emulated"
_MAX_PAGE_SIZE = 1000
_NOT_FOUND = ("NotAuthorizedOrNotFound", "Authorization failed or requested resource not found.")

Json = dict[str, Any]


@dataclass(slots=True)
class DataScienceResources:
    """What a compartment has; tests may change both."""

    deployments: list[Json] = field(default_factory=list)
    """The deployments, as `ModelDeploymentSummary` in JSON. One without `modelDeploymentUrl` gets the emulator's."""
    model_groups: dict[str, Json] = field(default_factory=dict)
    """The model groups by their OCID, as `ModelGroup` in JSON."""


class DataScienceService:
    """Model deployments and model groups of one compartment.

    Args:
        models: Names of the models in the emulated deployment; with several it deploys a stacked model group.
        find_problem: Checks the credentials; returns what is wrong with them, or `None`.
        scheme: Scheme of the deployments' URLs.
    """

    def __init__(
        self,
        models: Sequence[str] = (),
        find_problem: Callable[[RecordedRequest], str | None] = lambda http_request: None,
        scheme: str = "http",
    ) -> None:
        self._scheme = scheme
        self._models = tuple(models)
        self._authenticate = find_problem
        self.resources = DataScienceResources()
        self.reset()

    def reset(self) -> None:
        """Restore the emulated deployment."""
        stacked = len(self._models) > 1
        self.resources.deployments = [_deployment(stacked=stacked)]
        self.resources.model_groups = {_GROUP: _stacked_group(self._models)} if stacked else {}

    def matches(self, path: str) -> bool:
        """Return whether a path belongs to this service."""
        return path.startswith((f"{PREFIX}modelDeployments", f"{PREFIX}modelGroups/"))

    def find_target(self, http_request: RecordedRequest) -> RequestTarget:
        """Return what the request counts towards: no deployment."""
        return RequestTarget("oci-model-deployment", "")

    def build_throttling_response(self, target: RequestTarget, scope: RateLimitScope) -> ResponsePlan:
        """Build the error response for too many requests."""
        return ERROR_RESPONSES["tenancy_rate"].build_response()

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the response."""
        plan = self._respond(http_request)
        return plan.with_headers(("opc-request-id", uuid.uuid4().hex.upper()))

    def _respond(self, http_request: RecordedRequest) -> ResponsePlan:
        if (problem := self._authenticate(http_request)) is not None:
            return oci_error_response(401, "NotAuthenticated", problem)
        parts = urlsplit(http_request.target)
        _, _, kind, *rest = parts.path.split("/")
        if http_request.method != "GET" or (rest and kind == "modelDeployments"):
            return oci_error_response(404, *_NOT_FOUND)
        if kind == "modelGroups":
            group = self.resources.model_groups.get("/".join(rest))
            return oci_error_response(404, *_NOT_FOUND) if group is None else json_plan(200, group)
        return self._list(parse_qs(parts.query), http_request.headers.get("host", ""))

    def _list(self, query: dict[str, list[str]], host: str) -> ResponsePlan:
        if query.get("compartmentId") != [COMPARTMENT]:
            return oci_error_response(404, *_NOT_FOUND)
        try:
            size = int(query.get("limit", ["100"])[0])
            first = int(query.get("page", ["0"])[0])
        except ValueError:
            return oci_error_response(400, "InvalidParameter", "limit or page is invalid")
        if not 1 <= size <= _MAX_PAGE_SIZE or first < 0:
            return oci_error_response(400, "InvalidParameter", f"limit must be from 1 to {_MAX_PAGE_SIZE}")
        found = self.resources.deployments
        url = f"{self._scheme}://{host}"
        page = [{"modelDeploymentUrl": f"{url}/{entry['id']}", **entry} for entry in found[first : first + size]]
        more = (("opc-next-page", str(first + size)),) if first + size < len(found) else ()
        return json_plan(200, page, *more)


def _deployment(*, stacked: bool) -> Json:
    """Build the deployment that the emulator serves, as AQUA creates it."""
    environment = {"environmentConfigurationType": "OCIR_CONTAINER", "environmentVariables": {}}
    model: Json = {"modelConfigurationDetails": {"modelId": "ocid1.datasciencemodel.oc1.iad.emulated"}}
    if not stacked:
        environment["environmentVariables"] = {"PARAMS": "--served-model-name odsc-llm --seed 42"}
    group: Json = {"modelGroupConfigurationDetails": {"modelGroupId": _GROUP}}
    configuration = {
        "deploymentType": "MODEL_GROUP" if stacked else "SINGLE_MODEL",
        **(group if stacked else model),
        "environmentConfigurationDetails": environment,
    }
    tags = {"OCI_AQUA": "active", "aqua_model_name": "emulated", **({"aqua_stacked_model": "true"} if stacked else {})}
    return {
        "id": OCID,
        "timeCreated": "2026-11-01T10:00:00.000Z",
        "displayName": "emulated",
        "projectId": "ocid1.datascienceproject.oc1..emulated",
        "createdBy": "ocid1.user.oc1..emulated",
        "compartmentId": COMPARTMENT,
        "modelDeploymentConfigurationDetails": configuration,
        "lifecycleState": "ACTIVE",
        "freeformTags": tags,
    }


def _stacked_group(models: Sequence[str]) -> Json:
    """Build a model group whose inference keys are the names of the models; the first is the base model."""
    ids = [f"ocid1.datasciencemodel.oc1.iad.emulated{number}" for number in range(len(models))]
    members = [{"inferenceKey": name, "modelId": id} for name, id in zip(models, ids, strict=True)]
    return {
        "id": _GROUP,
        "compartmentId": COMPARTMENT,
        "displayName": "emulated",
        "createType": "CREATE",
        "lifecycleState": "ACTIVE",
        "modelGroupDetails": {"type": "STACKED", "baseModelId": ids[0]},
        "memberModelEntries": {"memberModelDetails": members},
    }


@dataclass(frozen=True, slots=True)
class DataScienceAddress:
    """Address of the control plane of OCI Data Science."""

    endpoint: str
    """URL of the service: the variable `OCI_ODSC_SERVICE_ENDPOINT`, or `service_endpoint` of the `oci` SDK."""
    resources: DataScienceResources = field(compare=False, repr=False)
    """The model deployments and model groups."""
    compartment_id: str = COMPARTMENT
    """OCID of the compartment."""
