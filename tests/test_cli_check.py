"""`mdstream check`: a healthy endpoint on each platform; then one failure at a time, with its cause and hint."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _auth_oci import KEY, KEY_ID, OTHER, assert_no_secret, clean_environment, home, jwt
from _platforms import AWS
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mdstream_core.cli import main
from mdstream_core.cli.check import CHECKS
from mdstream_core.emulator import AWSKey, Emulator, Fault, HuaweiAccount

pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")

__all__ = ["clean_environment", "home"]  # fixtures

SK, API_KEY = "sk-of-huawei-s3cr3t", "sk-bearer-s3cr3t"
((AWS_KEY, AWS_SECRET),) = AWS.items()
PUBLIC = {KEY_ID: KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)}
ACCOUNT = HuaweiAccount(access_keys={"HUAWEIAK": SK}, api_keys=[API_KEY])
AUTHENTICATION: Mapping[str, Any] = {"verify_signatures": PUBLIC, "aws_keys": AWS, "huawei": ACCOUNT}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": AWS_KEY,
    "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
    "HUAWEICLOUD_SDK_AK": "HUAWEIAK",
    "HUAWEICLOUD_SDK_SK": SK,
}

Findings = dict[str, dict[str, Any]]

#: ENDPOINT and options of each platform.
PLATFORM_CASES: dict[str, Callable[[Emulator], list[str]]] = {
    "OCI model deployment": lambda emulator: [emulator.endpoint],
    "OCI GenAI": lambda emulator: [
        emulator.url,
        *("--platform", "oci-genai", "--model", "xai.grok-4"),
        *("--compartment", emulator.oci_genai.compartment_id),
    ],
    "SageMaker": lambda emulator: [f"{emulator.url}/endpoints/emulated", "--region", "us-east-1"],
    "ModelArts": lambda emulator: [emulator.modelarts.endpoint],
    "ModelArts WebSocket": lambda emulator: [emulator.modelarts.websocket_endpoint],
}
on_each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)


@pytest.fixture(autouse=True)
def credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A valid credential for each platform, and no other variables."""
    for name in ("MDSTREAM_API_KEY", "MODELARTS_API_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def authenticated_emulator() -> Iterator[Emulator]:
    """Services that verify signatures, behind TLS."""
    with Emulator(tls=True, **AUTHENTICATION) as emulator:
        yield emulator


@pytest.fixture
def emulator(authenticated_emulator: Emulator) -> Emulator:
    """The same, without queued faults and recorded requests."""
    authenticated_emulator.reset()
    return authenticated_emulator


def with_ca_file(emulator: Emulator, platform_case: Callable[[Emulator], list[str]], *more: str) -> list[str]:
    return [*platform_case(emulator), "--ca-file", emulator.ca_file, *more]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Findings, str]]:
    """Run `mdstream check` as text and as JSON. Both have the same findings, and neither has a secret."""

    def run(arguments: list[str], repeat: Callable[[], object] = lambda: None) -> tuple[int, Findings, str]:
        code = main(["check", *arguments])
        text = capsys.readouterr().out
        repeat()
        assert code == main(["check", *arguments, "--json"])
        document = json.loads(capsys.readouterr().out)
        findings = {finding["check"]: finding for finding in document["findings"]}
        assert document["ok"] is (code == 0)
        for finding in findings.values():
            if finding["state"] == "SKIP":
                assert re.search(
                    rf"^SKIP  .*\b{finding['check']}\b.*\({re.escape(finding['text'])}\)$", text, re.MULTILINE
                )
            else:
                assert f"{finding['state']:<6}{finding['check']:<16}" in text
        assert [check.name for check in CHECKS] == list(findings)
        assert_no_secret(text, json.dumps(document))
        assert not [secret for secret in (AWS_SECRET, SK, API_KEY) if secret in text + json.dumps(document)]
        return code, findings, text

    return run


Check = Callable[..., tuple[int, Findings, str]]


def with_state(findings: Findings, state: str) -> set[str]:
    return {name for name, finding in findings.items() if finding["state"] == state}


def not_run(findings: Findings) -> set[str]:
    """The checks that were skipped because another one failed."""
    return {name for name, finding in findings.items() if "failed_check" in finding["facts"]}


@on_each_platform
def test_a_healthy_endpoint(emulator: Emulator, platform_case: Callable[[Emulator], list[str]], check: Check) -> None:
    """On each platform all checks pass; a missing optional feature is no failure."""
    code, findings, text = check(with_ca_file(emulator, platform_case))

    assert 0 == code, text
    assert "All checks passed: " in text
    assert set() == with_state(findings, "FAIL") | not_run(findings)
    assert {
        "dns",
        "tcp",
        "clock",
        "authentication",
        "model",
        "streaming",
        "dialect",
        "first token",
        "tools",
    } <= with_state(findings, "OK")
    assert "emulator CA" in findings["tls"]["facts"]["issuer"]


def test_the_credential_and_its_source_are_reported(emulator: Emulator, check: Check) -> None:
    """For each platform's own kinds."""
    sources = {
        name: check(with_ca_file(emulator, platform_case))[1]["credentials"]["text"]
        for name, platform_case in PLATFORM_CASES.items()
        if name in {"OCI model deployment", "SageMaker", "ModelArts"}
    }

    assert "an OCI API key, profile [DEFAULT] of ~/.oci/config, …0a:f7" == sources["OCI model deployment"]
    assert "an AWS key, AWS_ACCESS_KEY_ID in the environment" == sources["SageMaker"]
    assert "an access key (AK/SK), HUAWEICLOUD_SDK_AK in the environment" == sources["ModelArts"]


def test_the_dialect_of_a_container_is_detected(emulator: Emulator, check: Check) -> None:
    """From the response, on SageMaker."""

    def arguments(name: str) -> list[str]:
        return [f"{emulator.url}/endpoints/{name}", "--region", "us-east-1", "--ca-file", emulator.ca_file]

    assert "openai-chat, detected from the response" == check(arguments("emulated"))[1]["dialect"]["text"]
    assert "tgi, detected from the response" == check(arguments("tgi-old"))[1]["dialect"]["text"]


@dataclass(frozen=True)
class Failure:
    """One failure.

    Attributes:
        check: The check that fails.
        cause: Part of its text.
        hint: Part of its hint.
        platform_case: Key of `PLATFORM_CASES`; on SageMaker the endpoint's name can follow.
        more: Additional arguments.
        emulator: Options of the emulator.
        faults: Faults of the requests. The first request is that of the clock.
        environment: Environment variables; `None` removes one.
    """

    check: str
    cause: str
    hint: str
    platform_case: str = "OCI model deployment"
    more: tuple[str, ...] = ()
    emulator: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Any, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)


def clock_20_minutes_ahead() -> float:
    return time.time() + 1200


def clock_200_seconds_ahead() -> float:
    return time.time() + 200


def reject(request: dict[str, Any]) -> str:
    raise ValueError("the prompt template wants a system message")


NO_STREAM = Fault("refuse", "not_a_stream")
WRONG_CLOCK = {"clock": clock_20_minutes_ahead}
NO_KEYS = {"HUAWEICLOUD_SDK_AK": None}
NO_AWS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}

FAILURES = {
    "no OCI credential": Failure("credentials", "no OCI credential found", "oci setup config", environment={"HOME": "/nowhere"}),
    "no AWS credential": Failure("credentials", "no AWS credentials", "aws configure", "SageMaker", environment=NO_AWS),
    "no Huawei credential": Failure("credentials", "no Huawei Cloud credential", "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK", "ModelArts", environment=NO_KEYS),
    "no such profile": Failure("credentials", "has no profile [NOBODY]", "--profile", more=("--profile", "NOBODY")),
    "OCI: another key": Failure("authentication", "credential was rejected", "fingerprint", emulator={"verify_signatures": {KEY_ID: OTHER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)}}),
    "AWS: another secret": Failure("authentication", "does not match", "get-caller-identity", "SageMaker", environment={"AWS_SECRET_ACCESS_KEY": "another-secret"}),
    "AWS: unknown key": Failure("authentication", "UnrecognizedClientException", "access key", "SageMaker", environment={"AWS_ACCESS_KEY_ID": "AKIDNOBODY"}),
    "Huawei: another secret": Failure("authentication", "verify aksk signature fail", "this authentication type", "ModelArts", environment={"HUAWEICLOUD_SDK_SK": "another-secret"}),
    "AWS: another secret, and a small clock skew": Failure("authentication", "does not match", "get-caller-identity", "SageMaker", environment={"AWS_SECRET_ACCESS_KEY": "another-secret"}, emulator={"clock": clock_200_seconds_ahead}),
    "OCI: another bearer key": Failure("authentication", "rejected", "check the key", more=("--api-key", "env:OTHER_KEY"), environment={"OTHER_KEY": "not-the-key"}, emulator={**WRONG_CLOCK, "api_keys": ["sk-right"]}),
    "AWS: an expired session": Failure("authentication", "ExpiredTokenException", "aws sso login", "SageMaker", emulator={"aws_keys": {AWS_KEY: AWSKey(AWS_SECRET, expires=1.0)}}),
    "ModelArts WebSocket: unknown model": Failure("model", "'nope' does not exist", "--model", "ModelArts WebSocket", more=("--model", "nope"), emulator={"models": ["llama"]}),
    "an unsigned request": Failure("authentication", "not signed", "--auth-type", more=("--auth-type", "none")),
    "OCI: the clock": Failure("clock", "20 minutes behind", "timedatectl", emulator=WRONG_CLOCK),
    "OCI: the clock, seen by the signature": Failure("authentication", "differs from the service's clock", "set this machine's clock", emulator=WRONG_CLOCK),
    "AWS: the clock": Failure("clock", "rejected beyond 5 minutes", "timedatectl", "SageMaker", emulator=WRONG_CLOCK),
    "AWS: the clock, seen by the signature": Failure("authentication", "Signature expired", "set this machine's clock", "SageMaker", emulator=WRONG_CLOCK),
    "Huawei: the clock": Failure("clock", "rejected beyond 15 minutes", "timedatectl", "ModelArts", emulator=WRONG_CLOCK),
    "OCI: unknown model": Failure("model", "'nope' does not exist", "one of: llama, qwen", more=("--model", "nope"), emulator={"models": ["llama", "qwen"]}),
    "GenAI: unknown model": Failure("model", "'nope' does not exist", "--model", "OCI GenAI", more=("--model", "nope")),
    "ModelArts: unknown model": Failure("model", "'nope' does not exist", "one of: llama", "ModelArts", more=("--model", "nope"), emulator={"models": ["llama"]}),
    "OCI: another deployment": Failure("model", "NotAuthorizedOrNotFound", "check OCID and region", faults=(None, Fault("refuse", "not_found"))),
    "SageMaker: no such endpoint": Failure("model", "Endpoint nobody", "endpoint's name", "SageMaker nobody"),
    "GenAI: another compartment": Failure("model", "NotAuthorizedOrNotFound", "compartment", "OCI GenAI", more=("--compartment", "ocid1.compartment.oc1..other")),
    "no permission": Failure("authentication", "not allowed", "DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT", faults=(None, Fault("refuse", "not_allowed"))),
    "no streaming": Failure("streaming", "does not stream", "use one that streams", faults=(None, NO_STREAM)),
    "the container rejects the request": Failure("streaming", "the prompt template wants a system message", "predict log", emulator={"model": reject}),
    "OCI: the trailer": Failure("streaming", "408 ModelResponseTimeExceeded", "max_tokens", faults=(None, Fault("trailer", after=2))),
    "SageMaker: the exception frame": Failure("streaming", "ModelStreamError", "see the endpoint's log", "SageMaker", faults=(None, Fault("exception_frame", after=2))),
    "ModelArts: the close code": Failure("streaming", "1011", "again", "ModelArts WebSocket", faults=(None, None, Fault("trailer", after=2))),
    "the connection is closed": Failure("streaming", "the stream failed after", "log", faults=(None, Fault("cut", after=2))),
    "an HTML page": Failure("streaming", "text/html", "a proxy does not answer", faults=(None, Fault("html"))),
    "overload": Failure("streaming", "429", "bandwidth", faults=(None, Fault("refuse", "lb_bandwidth"), Fault("refuse", "lb_bandwidth"))),
    "the wrong dialect": Failure("dialect", "does not fit", "--dialect", "SageMaker tgi-old", more=("--dialect", "lmi"), faults=(None, Fault("body", data=b'data: {"odd": 1}\n\n'))),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failure_has_its_cause_and_a_hint(failure: Failure, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the finding of the check that fails; the failing checks are printed first."""
    for name, value in failure.environment.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    platform, _, name = (
        failure.platform_case.partition(" ")
        if failure.platform_case.startswith("SageMaker ")
        else (failure.platform_case, "", "")
    )
    with Emulator(tls=True, **{**AUTHENTICATION, **failure.emulator}) as emulator:
        platform_case = [
            argument.replace("emulated", name) if name else argument for argument in PLATFORM_CASES[platform](emulator)
        ]
        emulator.script(*failure.faults)
        code, findings, text = check(
            [*platform_case, "--ca-file", emulator.ca_file, *failure.more],
            lambda: (emulator.reset(), emulator.script(*failure.faults)),
        )
    finding = findings[failure.check]

    assert 1 == code
    assert "FAIL" == finding["state"], text
    assert failure.cause in finding["text"], text
    assert failure.hint in finding["hint"], text
    failing = [name for name in findings if findings[name]["state"] == "FAIL"]
    statuses = re.findall(r"^(FAIL|WARN|OK|SKIP)\b", text, re.MULTILINE)
    assert ["FAIL"] * len(failing) == statuses[: len(failing)]
    assert "FAIL" not in statuses[len(failing) :]
    assert f"Some checks failed: {len(failing)} failed" in text


def test_a_missing_region(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """The finding names the option."""
    code, findings, text = check(["my-endpoint"])

    assert (1, "FAIL") == (code, findings["credentials"]["state"])
    assert "--region is missing" in text


def test_checks_without_a_response_neither_pass_nor_fail(emulator: Emulator, check: Check) -> None:
    """A service that is down shows neither that a key is valid nor that a model exists."""
    emulator.always(Fault("refuse", "unavailable"))
    _, findings, text = check(with_ca_file(emulator, PLATFORM_CASES["OCI model deployment"]))

    assert ("WARN", "SKIP", "FAIL") == tuple(
        findings[name]["state"] for name in ("authentication", "model", "streaming")
    ), text


def test_an_unknown_host(check: Check) -> None:
    """The later checks are skipped, in one line."""
    code, findings, _ = check(["https://nowhere.invalid/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert 1 == code
    assert "nowhere.invalid" in findings["dns"]["text"]
    assert "private endpoint" in findings["dns"]["hint"]
    assert {"dns"} == with_state(findings, "FAIL")
    assert {"tcp", "tls", "clock", "authentication", "streaming"} <= not_run(findings)


def test_an_invalid_host_name(check: Check) -> None:
    """A failure of DNS, without a lookup."""
    _, findings, _ = check([f"https://{'a' * 64}.example/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert "FAIL" == findings["dns"]["state"]


def test_a_closed_port(check: Check) -> None:
    """The hint is to check the port and the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, findings, _ = check([f"https://127.0.0.1:{port}/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert 1 == code
    assert f"nothing listens on port {port}" in findings["tcp"]["text"]
    assert "check the port" in findings["tcp"]["hint"]


def test_a_proxy_of_the_environment_is_checked_instead_of_the_host(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy resolves the host's name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{API_KEY}@127.0.0.1:{port}")
    _, findings, _ = check(["https://deployment.invalid/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert "the proxy 127.0.0.1 (from the environment)" in findings["dns"]["text"]
    assert f"nothing listens on port {port}" in findings["tcp"]["text"]


def test_an_unknown_certificate_authority(emulator: Emulator, check: Check) -> None:
    """The hint names the option and the variable; no request is sent."""
    code, findings, _ = check([emulator.endpoint])

    assert 1 == code
    assert "certificate authority is not trusted" in findings["tls"]["text"]
    assert "--ca-file or SSL_CERT_FILE" in findings["tls"]["hint"]
    assert [] == emulator.requests


def test_a_port_without_tls(check: Check) -> None:
    """https:// in ENDPOINT, and a port that serves HTTP."""
    with Emulator() as plain:
        _, findings, _ = check([plain.endpoint.replace("http://", "https://")])

    assert "the TLS handshake failed" in findings["tls"]["text"]
    assert "FAIL" == findings["tls"]["state"]


def test_an_endpoint_without_tools_and_embeddings_is_healthy(check: Check) -> None:
    """The checks are skipped with a hint, and the exit code is 0."""
    with Emulator() as plain:
        code, findings, _ = check(
            [f"{plain.url}/endpoints/tgi", *("--auth-type", "none", "--region", "us-east-1", "--model", "no-tools-7b")]
        )

    assert 0 == code
    assert {"tls", "tools", "embeddings", "models"} == with_state(findings, "SKIP")
    assert "--enable-auto-tool-choice" in findings["tools"]["hint"]


def reject_with(message: str) -> Callable[[dict[str, Any]], str]:
    """A model that rejects every chat."""

    def reject_chat(request: dict[str, Any]) -> str:
        raise ValueError(message)

    return reject_chat


def sagemaker_endpoint(name: str) -> Callable[[Emulator], list[str]]:
    return lambda emulator: [f"{emulator.url}/endpoints/{name}", "--region", "us-east-1"]


_VLLM = {"model": reject_with("The model does not support Chat Completions API")}
_OLLAMA = {"model": reject_with('"all-minilm" does not support chat')}
_NO_ROUTE = Fault("refuse", status=404, code="NotFound", message="Not Found")
_LLAMA_CPP = Fault("refuse", status=501, message="This server does not support completions.")

#: Endpoints with embeddings and no chat: arguments, options of the emulator, faults of the requests (the first is that
#: of the clock).
EMBEDDING_ONLY: dict[str, tuple[Callable[[Emulator], list[str]], dict[str, Any], tuple[Any, ...]]] = {
    "TEI on SageMaker": (sagemaker_endpoint("tei"), {}, ()),
    "LMI on SageMaker": (sagemaker_endpoint("lmi-embeddings"), {}, ()),
    "vLLM on SageMaker": (sagemaker_endpoint("emulated"), _VLLM, ()),
    "vLLM on a model deployment": (PLATFORM_CASES["OCI model deployment"], {**_VLLM, "default_route": "auto"}, ()),
    "vLLM on ModelArts": (PLATFORM_CASES["ModelArts"], _VLLM, ()),
    "Ollama on ModelArts": (PLATFORM_CASES["ModelArts"], _OLLAMA, ()),
    "no such route on ModelArts": (PLATFORM_CASES["ModelArts"], {}, (None, None, _NO_ROUTE)),
    "llama.cpp on ModelArts": (PLATFORM_CASES["ModelArts"], {}, (None, None, _LLAMA_CPP, _LLAMA_CPP)),
    "vLLM on MaaS": (lambda emulator: [emulator.modelarts.maas], _VLLM, ()),
    "an embedding model of OCI Generative AI": (
        lambda emulator: [
            emulator.url,
            *("--platform", "oci-genai", "--model", "cohere.embed-v4.0"),
            *("--compartment", emulator.oci_genai.compartment_id),
        ],
        {},
        (None, Fault("refuse", "invalid_parameter")),
    ),
}


@pytest.mark.parametrize(("platform_case", "options", "faults"), EMBEDDING_ONLY.values(), ids=EMBEDDING_ONLY)
def test_an_endpoint_with_embeddings_only_is_healthy(
    platform_case: Callable[[Emulator], list[str]], options: dict[str, Any], faults: tuple[Any, ...], check: Check
) -> None:
    """It is probed with an embedding request, and the finding reports that."""
    with Emulator(**options) as emulator:
        emulator.script(*faults)
        code, findings, text = check(
            [*platform_case(emulator), "--auth-type", "none"], lambda: (emulator.reset(), emulator.script(*faults))
        )

    assert 0 == code, text
    assert "All checks passed: " in text
    assert "OK" == findings["embeddings"]["state"]
    assert "the endpoint serves embeddings only" in findings["embeddings"]["text"]
    assert {"authentication", "model", "dialect"} <= with_state(findings, "OK")
    assert {"streaming", "first token", "tools"} <= with_state(findings, "SKIP")
    assert "embeddings only" in findings["streaming"]["text"]


@pytest.mark.parametrize(
    "fault", [Fault("refuse", "vllm_too_long"), Fault("refuse", "vllm_tools"), Fault("refuse", "internal")]
)
def test_a_failing_chat_is_a_failure_even_if_embeddings_work(fault: Fault, check: Check) -> None:
    """A failing chat is not mistaken for a missing one."""
    with Emulator() as emulator:
        steps = (None, None, fault, fault)
        emulator.script(*steps)
        code, findings, _ = check(
            [*PLATFORM_CASES["ModelArts"](emulator), "--auth-type", "none"],
            lambda: (emulator.reset(), emulator.script(*steps)),
        )

    assert (1, "FAIL") == (code, findings["streaming"]["state"])


def test_a_tool_call_as_text_is_a_warning(check: Check) -> None:
    """The server has no tool parser; the hint names that of the library."""
    with Emulator(model=lambda request: '<tool_call>{"name": "get_weather"}</tool_call>') as plain:
        code, findings, _ = check([plain.endpoint, "--auth-type", "none"])

    assert 0 == code
    assert "as text" in findings["tools"]["text"]
    assert "tool_call_parser=" in findings["tools"]["hint"]


def test_a_key_that_the_server_repeats_is_redacted(check: Check, tmp_path: Path) -> None:
    """In the message of an error response."""
    (tmp_path / "key").write_text(f"{API_KEY}\n")
    with Emulator(api_keys=["sk-another"]) as emulator:
        emulator.always(Fault("refuse", status=401, message=f"Incorrect API key provided: {API_KEY}"))
        code, findings, _ = check([emulator.endpoint, "--api-key", f"file:{tmp_path / 'key'}"])

    assert 1 == code
    assert "provided: …" in findings["authentication"]["text"]
    assert f"an API key, from file:{tmp_path / 'key'}" == findings["credentials"]["text"]


def test_escape_sequences_of_the_server_are_replaced(check: Check) -> None:
    """They cannot control the terminal."""
    with Emulator() as emulator:
        emulator.always(Fault("refuse", status=403, message="go\x1b]0;title\x07 away"))
        _, findings, text = check([emulator.endpoint, "--auth-type", "none"])

    assert "\x1b" not in text
    assert "go�]0;title� away" in text
    assert "FAIL" == findings["authentication"]["state"]


def test_an_expired_session(home: Path, emulator: Emulator, check: Check) -> None:
    """The finding names the command that renews it."""
    (home / ".oci/token").write_text(jwt(1_000_000_000))
    _, findings, _ = check([*with_ca_file(emulator, PLATFORM_CASES["OCI model deployment"]), "--profile", "SESSION"])

    assert "FAIL" == findings["authentication"]["state"]
    finding = findings["authentication"]
    assert "oci session refresh --profile SESSION" in finding["text"] + finding["hint"]


def test_an_unknown_endpoint_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a hint; the query is not shown."""
    assert 2 == main(["check", "https://example.com/model?key=s3cr3t"])
    message = capsys.readouterr().err

    assert "--platform" in message
    assert "s3cr3t" not in message


def test_findings_are_ordered_by_status(capsys: pytest.CaptureFixture[str]) -> None:
    """Failures with their hint first, then warnings and passed checks; skipped checks share one line."""
    with Emulator(models=["llama"]) as emulator:
        main(["check", emulator.endpoint, "--auth-type", "none", "--model", "nope"])
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("FAIL  model           model 'nope' does not exist")
    assert "hint: set --model to one of: llama" == lines[1].strip()
    assert lines[3].startswith("WARN  credentials")
    assert "SKIP  streaming, dialect, first token, tools (model failed)" in lines
    assert "Some checks failed: 1 failed, 1 warning, 7 passed, 5 skipped." == lines[-1]


def test_color_only_on_request_in_a_pipe(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`FORCE_COLOR` colors the status; `NO_COLOR` has priority."""
    outputs = []
    for variables in ({}, {"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        main(["check", *with_ca_file(emulator, PLATFORM_CASES["OCI model deployment"])])
        outputs.append(capsys.readouterr().out)

    assert ["\x1b" in output for output in outputs] == [False, True, False]
    assert "\x1b[32mOK    \x1b[0mcredentials" in outputs[1]
