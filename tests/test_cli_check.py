"""`mdstream check`: well everywhere; then one thing is broken at a time, and the finding names cause and cure."""

import json
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
GUARDS: Mapping[str, Any] = {"verify_signatures": PUBLIC, "aws_keys": AWS, "huawei": ACCOUNT}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": AWS_KEY,
    "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
    "HUAWEICLOUD_SDK_AK": "HUAWEIAK",
    "HUAWEICLOUD_SDK_SK": SK,
}

Findings = dict[str, dict[str, Any]]

#: How each platform is asked.
PLATFORM_CASES: dict[str, Callable[[Emulator], list[str]]] = {
    "OCI model deployment": lambda emulator: [emulator.endpoint],
    "OCI GenAI": lambda emulator: [
        emulator.url,
        *("--platform", "oci-genai", "--model", "xai.grok-4"),
        *("--compartment", emulator.oci_generative_ai.compartment_id),
    ],
    "SageMaker": lambda emulator: [f"{emulator.url}/endpoints/emulated", "--region", "us-east-1"],
    "ModelArts": lambda emulator: [emulator.modelarts.endpoint],
    "ModelArts WebSocket": lambda emulator: [emulator.modelarts.websocket_endpoint],
}
everywhere = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)


@pytest.fixture(autouse=True)
def credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good credential for each platform, and nothing else."""
    for name in ("MDSTREAM_API_KEY", "MODELARTS_API_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Emulator]:
    """Services that verify signatures, behind TLS."""
    with Emulator(tls=True, **GUARDS) as emulator:
        yield emulator


@pytest.fixture
def emulator(guarded: Emulator) -> Emulator:
    """The same, with nothing queued."""
    guarded.reset()
    return guarded


def trusting(emulator: Emulator, platform_case: Callable[[Emulator], list[str]], *more: str) -> list[str]:
    return [*platform_case(emulator), "--ca-file", emulator.ca_file, *more]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Findings, str]]:
    """Runs `mdstream check` twice, as text and as JSON: both say the same, and neither holds a secret."""

    def run(arguments: list[str], again: Callable[[], object] = lambda: None) -> tuple[int, Findings, str]:
        code = main(["check", *arguments])
        text = capsys.readouterr().out
        again()
        assert code == main(["check", *arguments, "--json"])
        document = json.loads(capsys.readouterr().out)
        findings = {one["check"]: one for one in document["findings"]}
        assert document["ok"] is (code == 0)
        for one in findings.values():
            assert f"{one['check']:<13}{one['state']:<9}" in text
        assert [check.name for check in CHECKS] == list(findings)
        assert_no_secret(text, json.dumps(document))
        assert not [secret for secret in (AWS_SECRET, SK, API_KEY) if secret in text + json.dumps(document)]
        return code, findings, text

    return run


Check = Callable[..., tuple[int, Findings, str]]


def states(findings: Findings, state: str) -> set[str]:
    return {name for name, one in findings.items() if one["state"] == state}


@everywhere
def test_all_is_well(emulator: Emulator, platform_case: Callable[[Emulator], list[str]], check: Check) -> None:
    """On each platform the way, the signature and the answer are good; what an endpoint has not is no illness."""
    code, findings, text = check(trusting(emulator, platform_case))

    assert 0 == code, text
    assert "All is well." in text
    assert set() == states(findings, "wrong") | states(findings, "skipped")
    assert {"dns", "tcp", "clock", "accepted", "model", "stream", "dialect", "first token", "tools"} <= states(
        findings, "ok"
    )
    assert "emulator CA" in findings["tls"]["facts"]["issuer"]


def test_it_states_which_credential_and_where(emulator: Emulator, check: Check) -> None:
    """The kind and the place, for each platform's own."""
    found = {
        name: check(trusting(emulator, platform_case))[1]["credentials"]["text"]
        for name, platform_case in PLATFORM_CASES.items()
        if name in {"OCI model deployment", "SageMaker", "ModelArts"}
    }

    assert "an OCI API key, profile [DEFAULT] of ~/.oci/config, …0a:f7" == found["OCI model deployment"]
    assert "an AWS key, AWS_ACCESS_KEY_ID in the environment" == found["SageMaker"]
    assert "an access key (AK/SK), HUAWEICLOUD_SDK_AK in the environment" == found["ModelArts"]


def test_it_receives_what_a_container_uses(emulator: Emulator, check: Check) -> None:
    """SageMaker's containers are not asked what they are: their first words tell."""
    at = lambda name: [f"{emulator.url}/endpoints/{name}", "--region", "us-east-1", "--ca-file", emulator.ca_file]  # noqa: E731

    assert "openai-chat, found out from its first words" == check(at("emulated"))[1]["dialect"]["text"]
    assert "tgi, found out from its first words" == check(at("tgi-old"))[1]["dialect"]["text"]


@dataclass(frozen=True)
class Break:
    """One thing that is wrong.

    Attributes:
        check: Which check finds it.
        cause: What its text must say.
        cure: What its cure must say.
        place: Whom it befalls.
        more: Further arguments.
        emulator: Options of the emulator.
        faults: What happens to the requests; the first is the doctor's look at the clock.
        environment: What is set before; `None` removes.
    """

    check: str
    cause: str
    hint: str
    platform_case: str = "OCI model deployment"
    more: tuple[str, ...] = ()
    shared_emulator: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Any, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)


def late() -> float:
    return time.time() + 1200


def a_little_late() -> float:
    return time.time() + 200


def refusing(request: dict[str, Any]) -> str:
    raise ValueError("the prompt template wants a system message")


REFUSED = Fault("refuse", "not_a_stream")
LATE = {"clock": late}
NO_KEYS = {"HUAWEICLOUD_SDK_AK": None}
NO_AWS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}

BREAKS = {
    "no OCI credential": Break("credentials", "no OCI credential found", "oci setup config", environment={"HOME": "/nowhere"}),
    "no AWS credential": Break("credentials", "no AWS credentials", "aws configure", "SageMaker", environment=NO_AWS),
    "no Huawei credential": Break("credentials", "no Huawei Cloud credential", "ak and sk", "ModelArts", environment=NO_KEYS),
    "no such profile": Break("credentials", "no profile [NOBODY]", "--profile", more=("--profile", "NOBODY")),
    "OCI: another key": Break("accepted", "credential is refused", "fingerprint", shared_emulator={"verify_signatures": {KEY_ID: OTHER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)}}),
    "AWS: another secret": Break("accepted", "does not match", "get-caller-identity", "SageMaker", environment={"AWS_SECRET_ACCESS_KEY": "another-secret"}),
    "AWS: unknown key": Break("accepted", "UnrecognizedClientException", "access key", "SageMaker", environment={"AWS_ACCESS_KEY_ID": "AKIDNOBODY"}),
    "Huawei: another secret": Break("accepted", "verify aksk signature fail", "this way to sign", "ModelArts", environment={"HUAWEICLOUD_SDK_SK": "another-secret"}),
    "AWS: another secret, and a clock that is good enough": Break("accepted", "does not match", "get-caller-identity", "SageMaker", environment={"AWS_SECRET_ACCESS_KEY": "another-secret"}, shared_emulator={"clock": a_little_late}),
    "OCI: another bearer key": Break("accepted", "refused", "check the key", more=("--api-key", "env:OTHER_KEY"), environment={"OTHER_KEY": "not-the-key"}, shared_emulator={**LATE, "api_keys": ["sk-right"]}),
    "AWS: a session that is over": Break("accepted", "ExpiredTokenException", "aws sso login", "SageMaker", shared_emulator={"aws_keys": {AWS_KEY: AWSKey(AWS_SECRET, expires=1.0)}}),
    "ModelArts WebSocket: unknown model": Break("model", "'nope' is not there", "--model", "ModelArts WebSocket", more=("--model", "nope"), shared_emulator={"models": ["llama"]}),
    "not signed": Break("accepted", "not signed", "--auth-type", more=("--auth-type", "none")),
    "OCI: the clock": Break("clock", "20 minutes behind", "timedatectl", shared_emulator=LATE),
    "OCI: the clock, seen by the signature": Break("accepted", "differs from the service's clock", "most likely it is the clock", shared_emulator=LATE),
    "AWS: the clock": Break("clock", "refused beyond 5 minutes", "timedatectl", "SageMaker", shared_emulator=LATE),
    "AWS: the clock, seen by the signature": Break("accepted", "Signature expired", "most likely it is the clock", "SageMaker", shared_emulator=LATE),
    "Huawei: the clock": Break("clock", "refused beyond 15 minutes", "timedatectl", "ModelArts", shared_emulator=LATE),
    "OCI: unknown model": Break("model", "'nope' is not there", "one of: llama, qwen", more=("--model", "nope"), shared_emulator={"models": ["llama", "qwen"]}),
    "GenAI: unknown model": Break("model", "'nope' is not there", "--model", "OCI GenAI", more=("--model", "nope")),
    "ModelArts: unknown model": Break("model", "'nope' is not there", "one of: llama", "ModelArts", more=("--model", "nope"), shared_emulator={"models": ["llama"]}),
    "OCI: another deployment": Break("model", "NotAuthorizedOrNotFound", "check the OCID", faults=(None, Fault("refuse", "not_found"))),
    "SageMaker: no such endpoint": Break("model", "Endpoint nobody", "endpoint's name", "SageMaker nobody"),
    "GenAI: another compartment": Break("model", "NotAuthorizedOrNotFound", "compartment", "OCI GenAI", more=("--compartment", "ocid1.compartment.oc1..other")),
    "no right": Break("accepted", "not allowed", "DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT", faults=(None, Fault("refuse", "not_allowed"))),
    "it does not stream": Break("stream", "does not stream", "use one that streams", faults=(None, REFUSED)),
    "the container refuses": Break("stream", "the prompt template wants a system message", "predict log", shared_emulator={"brain": refusing}),
    "OCI: the trailer": Break("stream", "408 ModelResponseTimeExceeded", "max_tokens", faults=(None, Fault("trailer", after=2))),
    "SageMaker: the exception frame": Break("stream", "ModelStreamError", "see the endpoint's log", "SageMaker", faults=(None, Fault("exception_frame", after=2))),
    "ModelArts: the close code": Break("stream", "1011", "again", "ModelArts WebSocket", faults=(None, None, Fault("trailer", after=2))),
    "it is cut": Break("stream", "the answer broke after", "log", faults=(None, Fault("cut", after=2))),
    "a page": Break("stream", "text/html", "a model's and not a page's", faults=(None, Fault("html"))),
    "it is overloaded": Break("stream", "429", "bandwidth", faults=(None, Fault("refuse", "lb_bandwidth"), Fault("refuse", "lb_bandwidth"))),
    "another dialect": Break("dialect", "does not fit", "--dialect", "SageMaker tgi-old", more=("--dialect", "lmi"), faults=(None, Fault("body", data=b'data: {"odd": 1}\n\n'))),
}  # fmt: skip


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_one_thing_is_broken(broken: Break, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that looks at it says what is wrong, and what to do."""
    for name, value in broken.environment.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    platform, _, name = (
        broken.platform_case.partition(" ")
        if broken.platform_case.startswith("SageMaker ")
        else (broken.platform_case, "", "")
    )
    with Emulator(tls=True, **{**GUARDS, **broken.emulator}) as emulator:
        platform_case = [one.replace("emulated", name) if name else one for one in PLATFORM_CASES[platform](emulator)]
        emulator.script(*broken.faults)
        code, findings, text = check(
            [*platform_case, "--ca-file", emulator.ca_file, *broken.more],
            lambda: (emulator.reset(), emulator.script(*broken.faults)),
        )
    finding = findings[broken.check]

    assert 1 == code
    assert "wrong" == finding["state"], text
    assert broken.cause in finding["text"], text
    assert broken.hint in finding["cure"], text
    assert f"wrong: {', '.join(name for name in findings if findings[name]['state'] == 'wrong')}" in text


def test_a_region_that_nobody_states(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """It is asked for by the name that it has here."""
    code, findings, text = check(["my-endpoint"])

    assert (1, "wrong") == (code, findings["credentials"]["state"])
    assert "--region is missing" in text


def test_nothing_is_judged_where_nothing_was_responded(emulator: Emulator, check: Check) -> None:
    """A service that is down says neither that a key is good nor that a model is there."""
    emulator.always(Fault("refuse", "unavailable"))
    _, findings, text = check(trusting(emulator, PLATFORM_CASES["OCI model deployment"]))

    assert ("note", "none", "wrong") == tuple(findings[name]["state"] for name in ("accepted", "model", "stream")), text


def test_a_name_that_dns_does_not_know(check: Check) -> None:
    """The rest is skipped because of it; the cure speaks of the region."""
    code, findings, _ = check(["https://nowhere.invalid/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert 1 == code
    assert "nowhere.invalid" in findings["dns"]["text"]
    assert "private endpoint" in findings["dns"]["cure"]
    assert {"dns"} == states(findings, "wrong")
    assert {"tcp", "tls", "clock", "accepted", "stream"} <= states(findings, "skipped")


def test_a_name_that_is_none(check: Check) -> None:
    """Which no resolver has to be asked for."""
    _, findings, _ = check([f"https://{'a' * 64}.example/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert "wrong" == findings["dns"]["state"]


def test_a_port_where_nobody_listens(check: Check) -> None:
    """It is the port, or the server does not run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, findings, _ = check([f"https://127.0.0.1:{port}/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert 1 == code
    assert f"nothing listens on port {port}" in findings["tcp"]["text"]
    assert "check the port" in findings["tcp"]["cure"]


def test_a_proxy_of_the_environment_is_looked_at_instead(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """It resolves the host's name, not we; the finding says whose port is closed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{API_KEY}@127.0.0.1:{port}")
    _, findings, _ = check(["https://deployment.invalid/ocid1.datasciencemodeldeployment.oc1.iad.x"])

    assert "the proxy 127.0.0.1 (of the environment)" in findings["dns"]["text"]
    assert f"nothing listens on port {port}" in findings["tcp"]["text"]


def test_an_authority_that_is_not_known(emulator: Emulator, check: Check) -> None:
    """The cure names the option and the variable; nothing is asked there."""
    code, findings, _ = check([emulator.endpoint])

    assert 1 == code
    assert "authority is not known" in findings["tls"]["text"]
    assert "--ca-file or SSL_CERT_FILE" in findings["tls"]["cure"]
    assert [] == emulator.requests


def test_a_port_without_encryption(check: Check) -> None:
    """https:// to an http:// port."""
    with Emulator() as plain:
        _, findings, _ = check([plain.endpoint.replace("http://", "https://")])

    assert "no encryption was agreed on" in findings["tls"]["text"] or "handshake broke" in findings["tls"]["text"]
    assert "wrong" == findings["tls"]["state"]


def test_no_tools_and_no_embeddings_are_no_problem(check: Check) -> None:
    """They are told, with the cure, and the exit code is 0."""
    with Emulator() as plain:
        code, findings, _ = check(
            [f"{plain.url}/endpoints/tgi", *("--auth-type", "none", "--region", "us-east-1", "--model", "no-tools-7b")]
        )

    assert 0 == code
    assert {"tls", "tools", "embeddings", "models"} == states(findings, "none")
    assert "--enable-auto-tool-choice" in findings["tools"]["cure"]


def no_chat(words: str) -> Callable[[dict[str, Any]], str]:
    """A brain that refuses to chat."""

    def refuse(request: dict[str, Any]) -> str:
        raise ValueError(words)

    return refuse


def embeds(name: str) -> Callable[[Emulator], list[str]]:
    return lambda emulator: [f"{emulator.url}/endpoints/{name}", "--region", "us-east-1"]


_VLLM = {"brain": no_chat("The model does not support Chat Completions API")}
_OLLAMA = {"brain": no_chat('"all-minilm" does not support chat')}
_NO_ROUTE = Fault("refuse", status=404, code="NotFound", message="Not Found")
_LLAMA_CPP = Fault("refuse", status=501, message="This server does not support completions.")

#: Who embeds and does not chat: where, options of the emulator, what happens to the requests (the clock's look first).
EMBEDDING_ONLY: dict[str, tuple[Callable[[Emulator], list[str]], dict[str, Any], tuple[Any, ...]]] = {
    "TEI on SageMaker": (embeds("tei"), {}, ()),
    "LMI on SageMaker": (embeds("lmi-embeddings"), {}, ()),
    "vLLM on SageMaker": (embeds("emulated"), _VLLM, ()),
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
            *("--compartment", emulator.oci_generative_ai.compartment_id),
        ],
        {},
        (None, Fault("refuse", "invalid_parameter")),
    ),
}


@pytest.mark.parametrize(("platform_case", "options", "faults"), EMBEDDING_ONLY.values(), ids=EMBEDDING_ONLY)
def test_an_endpoint_that_only_embeds_is_no_failure(
    platform_case: Callable[[Emulator], list[str]], options: dict[str, Any], faults: tuple[Any, ...], check: Check
) -> None:
    """It is tested by embedding a word, and its line says so."""
    with Emulator(**options) as emulator:
        emulator.script(*faults)
        code, findings, text = check(
            [*platform_case(emulator), "--auth-type", "none"], lambda: (emulator.reset(), emulator.script(*faults))
        )

    assert 0 == code, text
    assert "All is well." in text
    assert "ok" == findings["embeddings"]["state"]
    assert "the endpoint serves embeddings only" in findings["embeddings"]["text"]
    assert {"accepted", "model", "dialect"} <= states(findings, "ok")
    assert {"stream", "first token", "tools"} <= states(findings, "none")
    assert "embeddings only" in findings["stream"]["text"]


@pytest.mark.parametrize(
    "fault", [Fault("refuse", "vllm_too_long"), Fault("refuse", "vllm_tools"), Fault("refuse", "internal")]
)
def test_a_chat_that_fails_otherwise_is_a_failure_although_vectors_come(fault: Fault, check: Check) -> None:
    """An endpoint that chats badly is not taken for one that does not chat."""
    with Emulator() as emulator:
        steps = (None, None, fault, fault)
        emulator.script(*steps)
        code, findings, _ = check(
            [*PLATFORM_CASES["ModelArts"](emulator), "--auth-type", "none"],
            lambda: (emulator.reset(), emulator.script(*steps)),
        )

    assert (1, "wrong") == (code, findings["stream"]["state"])


def test_a_call_that_is_written_as_text(check: Check) -> None:
    """A server without a parser: the cure names ours."""
    with Emulator(model=lambda request: '<tool_call>{"name": "get_weather"}</tool_call>') as plain:
        code, findings, _ = check([plain.endpoint, "--auth-type", "none"])

    assert 0 == code
    assert "as text" in findings["tools"]["text"]
    assert "tool_call_parser=" in findings["tools"]["cure"]


def test_a_key_that_a_server_repeats_is_not_shown(check: Check, tmp_path: Path) -> None:
    """Whatever a refusal says of what it was sent."""
    (tmp_path / "key").write_text(f"{API_KEY}\n")
    with Emulator(api_keys=["sk-another"]) as emulator:
        emulator.always(Fault("refuse", status=401, message=f"Incorrect API key provided: {API_KEY}"))
        code, findings, _ = check([emulator.endpoint, "--api-key", f"file:{tmp_path / 'key'}"])

    assert 1 == code
    assert "provided: …" in findings["accepted"]["text"]
    assert f"an API key, from file:{tmp_path / 'key'}" == findings["credentials"]["text"]


def test_a_refusal_does_not_steer_the_terminal(check: Check) -> None:
    """Escape sequences of a server's are shown as what they are."""
    with Emulator() as emulator:
        emulator.always(Fault("refuse", status=403, message="go\x1b]0;title\x07 away"))
        _, findings, text = check([emulator.endpoint, "--auth-type", "none"])

    assert "\x1b" not in text
    assert "go�]0;title� away" in text
    assert "wrong" == findings["accepted"]["state"]


def test_a_session_that_is_over(home: Path, emulator: Emulator, check: Check) -> None:
    """The command that renews it is named."""
    (home / ".oci/token").write_text(jwt(1_000_000_000))
    _, findings, _ = check([*trusting(emulator, PLATFORM_CASES["OCI model deployment"]), "--profile", "SESSION"])

    assert "wrong" == findings["accepted"]["state"]
    assert "oci session refresh --profile SESSION" in findings["accepted"]["text"]


def test_an_endpoint_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the forms that there are."""
    assert 2 == main(["check", "https://example.com/model?key=s3cr3t"])
    content = capsys.readouterr().err

    assert "--platform" in content
    assert "s3cr3t" not in content
