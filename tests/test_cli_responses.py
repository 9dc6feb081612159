"""`mdstream check` and `mdstream chat` with OpenAI's Responses API: on each platform, and its failures."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mdstream_core.cli import main
from mdstream_core.emulator import Emulator, Fault

OUTPUT = "The Nile, the Amazon and the Danube."

#: ENDPOINT and options of each platform. SageMaker needs credentials, which the environment has.
PLATFORM_CASES: dict[str, Callable[[Emulator], list[str]]] = {
    "OCI model deployment": lambda emulator: [emulator.endpoint, "--auth-type", "none"],
    "OCI GenAI": lambda emulator: [
        *(emulator.url, "--platform", "oci-genai", "--model", "openai.gpt-oss-120b", "--auth-type", "none"),
        *("--compartment", emulator.oci_genai.compartment_id),
    ],
    "SageMaker": lambda emulator: [f"{emulator.url}/endpoints/responses", "--region", "us-east-1"],
    "ModelArts": lambda emulator: [emulator.modelarts.endpoint, "--auth-type", "none"],
    "ModelArts WebSocket": lambda emulator: [emulator.modelarts.websocket_endpoint, "--auth-type", "none"],
}
on_each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, reset, and credentials for SageMaker."""
    pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key")
    monkeypatch.delenv("MDSTREAM_API_KEY", raising=False)
    shared_emulator.reset()
    return shared_emulator


Check = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `mdstream check` with the dialect; return its status and its findings by name."""

    def run(arguments: list[str]) -> tuple[int, dict[str, dict[str, Any]]]:
        code = main(["check", *arguments, "--dialect", "openai-responses", "--json"])
        findings = json.loads(capsys.readouterr().out)["findings"]
        return code, {finding["check"]: finding for finding in findings}

    return run


def stored(emulator: Emulator) -> set[Any]:
    """The values of `store` in chats; on a WebSocket requests are recorded without their messages."""
    payloads = [request.json for request in emulator.requests if request.body]
    inputs = [(payload, item) for payload in payloads for item in payload.get("input") or ()]
    return {payload.get("store") for payload, item in inputs if isinstance(item, dict)}  # embeddings have texts


@on_each_platform
def test_a_healthy_endpoint(emulator: Emulator, platform_case: Callable[[Emulator], list[str]], check: Check) -> None:
    """
    All checks pass, tools included; no response is stored, so that no conversation store is needed.
    """
    code, findings = check(platform_case(emulator))

    assert (0, []) == (code, [name for name, finding in findings.items() if finding["state"] == "FAIL"])
    assert "openai-responses" == findings["dialect"]["text"]
    assert "finish reason stop" in findings["streaming"]["text"]
    assert "get_weather" in findings["tools"]["text"]
    assert {False} == stored(emulator) or platform_case is PLATFORM_CASES["ModelArts WebSocket"]


#: name: (fault, the error)
FAILURES: dict[str, tuple[Fault, str]] = {
    "response.failed": (Fault("choice_error"), "StreamFailure"),
    "no response.completed": (Fault("no_finish"), "StreamInterrupted"),
    "interrupted": (Fault("cut", after=6), "StreamInterrupted"),
    "an error event": (Fault("error_event", after=6), "StreamFailure"),
}


@pytest.mark.parametrize(("fault", "error"), FAILURES.values(), ids=FAILURES)
def test_a_stream_that_fails_is_a_failure(emulator: Emulator, check: Check, fault: Fault, error: str) -> None:
    """
    And not one that is healthy because text was received.
    """
    emulator.always(fault)
    code, findings = check(PLATFORM_CASES["OCI model deployment"](emulator))

    assert (1, "FAIL") == (code, findings["streaming"]["state"])
    assert error == findings["streaming"]["facts"]["error"]


@on_each_platform
def test_a_chat(
    emulator: Emulator, platform_case: Callable[[Emulator], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The response is displayed and not stored.
    """
    arguments = ["chat", *platform_case(emulator), "--dialect", "openai-responses", "Name three rivers."]
    assert 0 == main(arguments)

    assert OUTPUT in capsys.readouterr().out
    assert {False} == stored(emulator) or platform_case is PLATFORM_CASES["ModelArts WebSocket"]
