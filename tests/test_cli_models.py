"""`mdstream models` without ENDPOINT: the model deployments of a compartment, listed by the `oci` SDK."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from _auth_oci import KEY, KEY_ID, assert_no_secret, clean_environment, edit_config, home

from mdstream_core.auth import _oci_deployments
from mdstream_core.cli import main
from mdstream_core.emulator._oci_signatures import OCISignatureVerifier
from mdstream_core.emulator._recorded_request import RecordedRequest

pytest.importorskip("oci", reason="the SDK lists the deployments; install mdstream-llm[oci]")

__all__ = ["clean_environment", "home"]  # fixtures

COMPARTMENT = "ocid1.compartment.oc1..aaaa"
HOST = "https://modeldeployment.us-ashburn-1.oci.customer-oci.com"


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """A `ModelDeploymentSummary`, as the service writes it (API reference of Data Science, 20190101)."""
    id = f"ocid1.datasciencemodeldeployment.oc1.iad.{number}"
    return {
        "id": id,
        "timeCreated": "2026-11-01T10:00:00.000Z",
        "displayName": f"deployment {number}",
        "projectId": "ocid1.datascienceproject.oc1..a",
        "createdBy": "ocid1.user.oc1..a",
        "compartmentId": COMPARTMENT,
        "modelDeploymentUrl": f"{HOST}/{id}",
        "lifecycleState": "ACTIVE",
        "freeformTags": {},
        **changes,
    }


AQUA = entry(1, displayName="llama", freeformTags={"OCI_AQUA": "active", "aqua_model_name": "meta-llama/Llama-3.1-8B"})
PLAIN = entry(2, displayName="classifier", freeformTags=None)
STOPPED = entry(3, lifecycleState="INACTIVE")


class DataScience:
    """The list of Data Science's control plane: verifies signatures, and has pages of `page_size` entries."""

    def __init__(self, entries: list[dict[str, Any]], page_size: int = 2) -> None:
        self.entries, self.page_size, self.requests = entries, page_size, list[str]()
        self.verifier = OCISignatureVerifier({KEY_ID: KEY.public_key()})
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = service.respond(self.path, list(self.headers.items()))
                self.send_response(status)
                for name, value in {**headers, "content-type": "application/json", "opc-request-id": "R1"}.items():
                    self.send_header(name, value)
                content = json.dumps(body).encode()
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def respond(self, target: str, headers: list[tuple[str, str]]) -> tuple[int, dict[str, str], Any]:
        self.requests.append(target)
        values = {name.lower(): value for name, value in headers}
        request = RecordedRequest("GET", target, values, header_fields=tuple(headers))
        if problem := self.verifier.find_problem(request):
            return 401, {}, {"code": "NotAuthenticated", "message": problem}
        query = parse_qs(urlsplit(target).query)
        if urlsplit(target).path != "/20190101/modelDeployments" or query["compartmentId"] != [COMPARTMENT]:
            return 404, {}, {"code": "NotAuthorizedOrNotFound", "message": "Authorization failed or not found."}
        first = int(query.get("page", ["0"])[0])
        following = first + self.page_size
        more = {"opc-next-page": str(following)} if following < len(self.entries) else {}
        return 200, more, self.entries[first:following]


@pytest.fixture
def service(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataScience]:
    service = DataScience([AQUA, STOPPED, PLAIN])
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OCI_ODSC_SERVICE_ENDPOINT", service.url)
    try:
        yield service
    finally:
        service.server.shutdown()
        service.server.server_close()
        thread.join()


def test_active_deployments_of_all_pages_are_listed(service: DataScience, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, AQUA's model, OCID and endpoint of each; signed with the key of the config file."""
    assert 0 == main(["models", "--compartment", COMPARTMENT])
    lines = capsys.readouterr().out.splitlines()

    assert ["llama · meta-llama/Llama-3.1-8B · AQUA", f"  {AQUA['id']}", f"  {AQUA['modelDeploymentUrl']}"] == lines[:3]
    assert ["classifier", f"  {PLAIN['id']}", f"  {PLAIN['modelDeploymentUrl']}"] == lines[3:]
    assert 2 == len(service.requests)


def test_the_list_as_json(service: DataScience, capsys: pytest.CaptureFixture[str]) -> None:
    """One document with the same facts and without secrets."""
    assert 0 == main(["models", "--compartment", COMPARTMENT, "--json"])
    text = capsys.readouterr().out
    document = json.loads(text)

    assert_no_secret(text)
    assert (COMPARTMENT, "oci-model-deployment", True) == (
        document["compartment"],
        document["platform"],
        document["complete"],
    )
    assert {
        "id": AQUA["id"],
        "display_name": "llama",
        "endpoint": AQUA["modelDeploymentUrl"],
        "is_aqua": True,
        "model": "meta-llama/Llama-3.1-8B",
    } == document["deployments"][0]


def test_an_empty_compartment(service: DataScience, capsys: pytest.CaptureFixture[str]) -> None:
    """Inactive deployments are not listed."""
    service.entries = [STOPPED]

    assert 0 == main(["models", "--compartment", COMPARTMENT])
    assert "The compartment has no active model deployments.\n" == capsys.readouterr().out


def test_pages_are_bounded(
    service: DataScience, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that does not end is cut, and the output says so."""
    monkeypatch.setattr(_oci_deployments, "_MAX_PAGES", 3)
    service.entries, service.page_size = [entry(number) for number in range(9)], 1

    assert 0 == main(["models", "--compartment", COMPARTMENT, "--json"])
    output = capsys.readouterr()

    assert 3 == len(service.requests)
    assert not json.loads(output.out)["complete"]
    assert "the compartment has more; 3 active deployments are listed" in output.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--compartment", "ocid1.compartment.oc1..other"], 1, "404 NotAuthorizedOrNotFound"),
        (["--compartment", COMPARTMENT, "--auth-type", "none"], 1, "401 NotAuthenticated"),
        (["--compartment", COMPARTMENT, "--profile", "NONE"], 3, "NONE"),
        (["--compartment", COMPARTMENT, "--region", "evil.example/"], 2, "is not a region name"),
        (["--compartment", COMPARTMENT, "--api-key", "env:KEY"], 2, "--api-key cannot list model deployments"),
        (["--compartment", COMPARTMENT, "--header", "a: b"], 2, "--header needs ENDPOINT"),
        (["--compartment", COMPARTMENT, "--platform", "sagemaker"], 2, "ENDPOINT is missing"),
        ([], 2, "pass an endpoint to list its models, or --compartment"),
    ],
)
def test_errors(
    arguments: list[str], code: int, message: str, service: DataScience, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has its exit code, and a hint."""
    assert code == main(["models", *arguments])
    error = capsys.readouterr().err

    assert message in error
    assert "hint: " in error
    assert_no_secret(error)


def test_no_connection(
    service: DataScience, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's exception of a refused connection is `ConnectionFailed`, without retries."""
    monkeypatch.setenv("OCI_ODSC_SERVICE_ENDPOINT", "http://127.0.0.1:1")

    assert 1 == main(["models", "--compartment", COMPARTMENT])
    assert "no connection to OCI Data Science" in capsys.readouterr().err


def test_a_missing_region(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The profile has none, and no variable sets the service's URL."""
    edit_config(home, "region=us-ashburn-1\n", "")

    assert 2 == main(["models", "--compartment", COMPARTMENT])
    assert "--region is missing, and the credential has none" in capsys.readouterr().err
