"""`mdstream chat`, `models` and `completion`, in a pipe and in a terminal."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pseudo_terminal import PseudoTerminal

from mdstream_core.cli import main
from mdstream_core.cli._endpoints import parse_endpoint
from mdstream_core.emulator import Emulator, Fault

RIVERS = "The Nile, the Amazon and the Danube."
KEY = "sk-live-s3cr3t-0042"


@pytest.fixture(scope="module")
def served() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(served: Emulator) -> Emulator:
    """The same, with nothing queued."""
    served.reset()
    return served


def run(*arguments: str, content: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `mdstream` with its standard streams in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "mdstream_core.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=content or "",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


#: ENDPOINT and options of each platform.
PLATFORM_CASES: dict[str, Callable[[Emulator], list[str]]] = {
    "OCI model deployment": lambda emulator: [emulator.endpoint],
    "OCI GenAI": lambda emulator: [
        emulator.url,
        *("--platform", "oci-genai", "--model", "xai.grok-4"),
        *("--compartment", emulator.oci_genai.compartment_id),
    ],
    "SageMaker": lambda emulator: [f"{emulator.url}/endpoints/emulated"],
    "ModelArts": lambda emulator: [emulator.modelarts.websocket_endpoint],
    "MaaS": lambda emulator: [emulator.modelarts.maas],
}


@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
def test_one_request(
    emulator: Emulator, platform_case: Callable[[Emulator], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The response is on standard output; times and usage are on standard error."""
    assert 0 == main(["chat", *platform_case(emulator), "--auth-type", "none", "Name", "three", "rivers."])
    out, notes = capsys.readouterr()

    assert f"{RIVERS}\n" == out
    assert "first token" in notes
    assert re.search(r"\d+ tokens in, \d+ out", notes)


def test_a_request_from_standard_input(emulator: Emulator) -> None:
    """Without colours in a pipe."""
    done = run("chat", emulator.endpoint, "--auth-type", "none", content="Name three rivers.\n")

    assert (0, f"{RIVERS}\n") == (done.returncode, done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_request_as_json(emulator: Emulator) -> None:
    """One document with times and usage."""
    done = run("chat", emulator.endpoint, "--auth-type", "none", "--json", "Name three rivers.")
    document = json.loads(done.stdout)

    assert document["ok"]
    assert RIVERS == document["text"]
    assert document["first_token"] <= document["seconds"]
    assert document["usage"]["output"] > 0
    assert "" == done.stderr


def test_an_interrupted_response_is_json_too(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C with `--json`: exit code 130 and the partial response."""
    emulator.script(Fault("stall", after=6))

    def press_ctrl_c() -> None:
        while not emulator.requests:
            time.sleep(0.01)
        time.sleep(0.3)  # some of the response has arrived
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = threading.Thread(target=press_ctrl_c)
    presser.start()
    code = main(["chat", emulator.endpoint, "--auth-type", "none", "--json", "Name three rivers."])
    presser.join()
    document = json.loads(capsys.readouterr().out)

    assert 130 == code
    assert not document["ok"]
    assert RIVERS.startswith(document["partial"]["text"])


def test_a_failed_response_is_shown_with_its_reason(emulator: Emulator) -> None:
    """The partial is on standard output, the reason on standard error, and the exit code is 1; `--json` has both."""
    emulator.always(Fault("trailer", after=6))
    done = run("chat", emulator.endpoint, "--auth-type", "none", "Name three rivers.")
    document = json.loads(run("chat", emulator.endpoint, "--auth-type", "none", "--json", "Name three rivers.").stdout)

    assert (1, "The Nile, the Amazon\n") == (done.returncode, done.stdout)
    assert "✗ The service stopped the response because it took too long." in done.stderr
    assert "request id" in done.stderr
    assert not document["ok"]
    assert "ModelResponseTimeExceeded" == document["error"]["code"]
    assert "The Nile, the Amazon" == document["partial"]["text"]


def test_options_become_parameters_of_the_request(emulator: Emulator) -> None:
    """In any order of options and prompt."""
    main(["chat", emulator.endpoint, "--auth-type", "none", "--system", "Be brief.", "--max-tokens", "9", "--temperature", "0.5", "--header", "x-team: blue", "Hello!"])  # fmt: skip
    sent = emulator.last.json

    assert ["Be brief.", "Hello!"] == [message["content"] for message in sent["messages"]]
    assert (9, 0.5, "odsc-llm") == (sent["max_tokens"], sent["temperature"], sent["model"])
    assert "blue" == emulator.last.headers["x-team"]


def test_the_first_listed_model_is_used_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """On platforms without a default model name."""
    with Emulator(models=["qwen-3"]) as emulator:
        assert 0 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", "Hello!"])
        assert "qwen-3" == emulator.last.json["model"]


#: Responses of servers that do not list their models.
NO_LISTS = {
    "404 of a gateway": Fault("refuse", "not_found"),
    "404 of Huawei's": Fault("refuse", "maas_model"),
    "405": Fault("refuse", "method_not_allowed"),
    "422 of a container": Fault("refuse", "fastapi_detail"),
    "500": Fault("refuse", "internal"),
    "429": Fault("refuse", "tenancy_rate"),
    "a page": Fault("html"),
    "no names": Fault("json_body", data=b'{"object":"list","data":[]}'),
    "entries without a name": Fault("json_body", data=b'{"object":"list","data":[{"object":"model"}]}'),
    "another document": Fault("json_body", data=b'{"models":["llama"]}'),
}


@pytest.mark.parametrize("platform_case", ["ModelArts", "MaaS", "ModelArts over HTTP"])
@pytest.mark.parametrize("fault", NO_LISTS.values(), ids=NO_LISTS)
def test_without_a_list_the_request_names_no_model(
    emulator: Emulator, fault: Fault, platform_case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many servers have one model and need no name."""
    arguments = {**PLATFORM_CASES, "ModelArts over HTTP": lambda emulator: [emulator.modelarts.endpoint]}[
        platform_case
    ](emulator)
    emulator.script(fault)

    assert 0 == main(["chat", *arguments, "--auth-type", "none", "Name three rivers."])
    assert f"{RIVERS}\n" == capsys.readouterr().out
    emulator.reset()
    emulator.script(fault)
    assert 0 == main(["chat", *arguments, "--auth-type", "none", "--json", "Name three rivers."])
    assert RIVERS == json.loads(capsys.readouterr().out)["text"]


def test_a_rejected_request_without_a_model_has_a_hint(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The hint names `--model`."""
    for more in ([], ["--json"]):
        emulator.script(Fault("refuse", "not_found"), Fault("refuse", "vllm_model"))
        assert 1 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", *more, "Hello!"])
        assert "set --model" in "".join(capsys.readouterr())
        emulator.reset()


def test_a_rejected_request_with_a_model_has_no_hint_about_it(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name was sent, so it is wrong rather than missing."""
    emulator.script(Fault("refuse", "vllm_model"))

    assert 1 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", "--model", "nope", "Hello!"])
    assert "--model" not in capsys.readouterr().err


def test_a_rejected_credential_is_not_sent_again(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """A chat would fail like the list of models."""
    emulator.script(Fault("refuse", "not_authenticated"))

    assert 1 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", "Hello!"])
    assert 1 == len(emulator.requests)
    assert "NotAuthenticated" in capsys.readouterr().err


def test_a_conversation_without_a_model_name(emulator: Emulator) -> None:
    """The server needs none."""
    emulator.script(Fault("refuse", "not_found"))
    with PseudoTerminal("chat", emulator.modelarts.endpoint, "--auth-type", "none") as terminal:
        terminal.wait_for("Chatting with the model")
        terminal.wait_for("> ")
        terminal.type("Name three rivers.\n")
        terminal.wait_for("Danube")


def test_a_conversation(emulator: Emulator) -> None:
    """Each request has the earlier turns; Ctrl-D ends the conversation."""
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none") as terminal:
        terminal.wait_for("> ")
        terminal.type("Name three rivers.\n")
        terminal.wait_for("✓")
        terminal.wait_for("> ", times=2)
        terminal.type("My name is Ada.\n")
        terminal.wait_for("✓", times=2)
        terminal.wait_for("> ", times=3)
        terminal.type("\x04")

        assert 0 == terminal.wait()
        assert RIVERS in terminal.output
    assert ["user", "assistant", "user"] == [message["role"] for message in emulator.last.json["messages"]]


def test_a_failed_turn_is_not_added_to_the_conversation(emulator: Emulator) -> None:
    """Neither the prompt nor the partial response."""
    emulator.script(Fault("trailer", after=6))
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none") as terminal:
        terminal.wait_for("> ")
        terminal.type("Name three rivers.\n")
        terminal.wait_for("Send the prompt again")
        terminal.wait_for("> ", times=2)
        terminal.type("Name three rivers.\n")
        terminal.wait_for("✓")
        terminal.wait_for("> ", times=3)
        terminal.type("\x04")

        assert 0 == terminal.wait()
        assert "took too long" in terminal.output
    assert 1 == len(emulator.last.json["messages"])


def test_ctrl_c_stops_a_response_and_at_the_prompt_the_command(emulator: Emulator) -> None:
    """The connection of the response is closed."""
    emulator.script(Fault("hold", after=4, seconds=60))
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none") as terminal:
        terminal.wait_for("> ")
        terminal.type("Name three rivers.\n")
        terminal.wait_for("The Nile")
        terminal.type("\x03")
        terminal.wait_for("stopped")
        assert emulator.last.client_closed.wait(5)
        terminal.wait_for("> ", times=2)

        assert 130 == terminal.wait(keys="\x03")
        assert "Traceback" not in terminal.output


def test_ctrl_c_in_a_pipe(emulator: Emulator) -> None:
    """The partial response is written, and the exit code is 130."""
    emulator.script(Fault("hold", after=4, seconds=60))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mdstream_core.cli",
            "chat",
            emulator.endpoint,
            "--auth-type",
            "none",
            "Name three rivers.",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    received = b""
    while b"Nile" not in received:
        received += os.read(process.stdout.fileno(), 100)
    process.send_signal(signal.SIGINT)
    _, notes = process.communicate(timeout=30)

    assert 130 == process.returncode
    assert "stopped" in notes.decode()
    assert "Traceback" not in notes.decode()


def test_a_closed_pipe_is_no_error(emulator: Emulator) -> None:
    """As with `| head`."""
    command = f"{sys.executable} -m mdstream_core.cli completion fish | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=True)

    assert "" == done.stderr


def test_a_terminal_without_rich_shows_plain_text(emulator: Emulator, tmp_path: Path) -> None:
    """With the same words."""
    (tmp_path / "rich.py").write_text("raise ImportError('hidden')\n")
    hidden = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with PseudoTerminal(
        "chat", emulator.endpoint, "--auth-type", "none", "Name three rivers.", PYTHONPATH=hidden
    ) as terminal:
        assert 0 == terminal.wait()

        assert RIVERS in terminal.output
        assert "✓" in terminal.output


# --- secrets


def test_a_secret_on_the_command_line_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    """The error does not repeat it, and names the allowed sources."""
    code = main(["models", "https://api.modelarts-maas.com/v1", "--api-key", KEY])
    content = "".join(capsys.readouterr())

    assert 2 == code
    assert KEY not in content
    assert "env:NAME, file:PATH" in content
    assert 2 == main(
        ["models", "https://api.modelarts-maas.com/v1", "--auth-type", "none", "--header", f"x-api-key: {KEY}"]
    )
    assert KEY not in "".join(capsys.readouterr())


def test_api_keys_from_each_source(tmp_path: Path) -> None:
    """A variable, a file, standard input, and MDSTREAM_API_KEY."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    with Emulator(api_keys=[KEY]) as emulator:
        send_request = lambda *more, **how: run("chat", emulator.endpoint, *more, "Name three rivers.", **how)  # noqa: E731
        responses = [
            send_request("--api-key", "env:ANY", ANY=KEY),
            send_request("--api-key", f"file:{tmp_path / 'key'}"),
            send_request("--api-key", "-", content=f"{KEY}\n"),
            send_request(MDSTREAM_API_KEY=KEY),
        ]
        rejected = send_request("--api-key", "env:ANY", ANY="sk-another-key")

    assert [(0, f"{RIVERS}\n")] * 4 == [(done.returncode, done.stdout) for done in responses]
    assert 1 == rejected.returncode
    assert "The credentials were rejected." in rejected.stderr
    assert not [done for done in responses if KEY in done.stdout + done.stderr]


def test_a_missing_credential_has_exit_code_3(tmp_path: Path) -> None:
    """As text and as JSON."""
    bare = {name: "" for name in os.environ if name.startswith(("OCI_", "MDSTREAM_"))}
    done = run("models", "ocid1.datasciencemodeldeployment.oc1.iad.x", HOME=str(tmp_path), **bare)
    document = run("models", "ocid1.datasciencemodeldeployment.oc1.iad.x", "--json", HOME=str(tmp_path), **bare)

    assert 3 == done.returncode == document.returncode
    assert "no OCI credential found" in done.stderr
    assert "MissingCredential" == json.loads(document.stdout)["error"]["type"]


# --- endpoints and platforms


FORMS = {
    "ocid1.datasciencemodeldeployment.oc1.iad.abc": ("oci-model-deployment", {}),
    "https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.datasciencemodeldeployment.oc1.iad.a/predict": ("oci-model-deployment", {}),
    "https://private.example.com/ocid1.datasciencemodeldeployment.oc1.iad.a": ("oci-model-deployment", {}),
    "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com": ("oci-genai", {"url": "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com", "region": "us-chicago-1"}),
    "ocid1.generativeaiendpoint.oc1.us-chicago-1.x": ("oci-genai", {"model": "ocid1.generativeaiendpoint.oc1.us-chicago-1.x", "region": "us-chicago-1"}),
    "my-endpoint": ("sagemaker", {"name": "my-endpoint"}),
    "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/llama": ("sagemaker", {"region": "eu-west-1", "name": "llama"}),
    "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/llama/invocations": ("sagemaker", {"url": "https://runtime.sagemaker.us-east-1.amazonaws.com", "region": "us-east-1", "name": "llama"}),
    "https://vpce-1.example.com/endpoints/llama": ("sagemaker", {"url": "https://vpce-1.example.com", "name": "llama"}),
    "https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1b": ("modelarts", {}),
    "https://api.modelarts-maas.com/v1": ("modelarts", {}),
    "wss://10.0.0.1:8443/v1/infers/8e1b": ("modelarts", {}),
}  # fmt: skip


@pytest.mark.parametrize(("endpoint", "expected"), FORMS.items(), ids=FORMS)
def test_the_platform_is_detected_from_the_endpoint(endpoint: str, expected: tuple[str, dict[str, str]]) -> None:
    """By its form alone."""
    endpoint_info = parse_endpoint(endpoint)

    assert expected == (endpoint_info.platform, endpoint_info.fields)


UNKNOWN = ["https://example.com/v1", "my endpoint", "", "http://127.0.0.1:8000"]


@pytest.mark.parametrize("endpoint", UNKNOWN)
def test_an_unknown_endpoint_is_a_usage_error(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a hint with the possible forms."""
    assert 2 == main(["models", endpoint])
    assert "--platform" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--platform", "oci-genai"], "--compartment is missing"),
        (["--platform", "oci-genai", "--compartment", "ocid1.compartment.oc1..x"], "--model is missing"),
        (["--platform", "sagemaker"], "is not an address on sagemaker"),
    ],
)
def test_a_missing_option_is_named(more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the name of the option."""
    assert 2 == main(["chat", "http://127.0.0.1:1", "--auth-type", "none", *more, "Hello!"])
    assert message in capsys.readouterr().err


# --- models, completion, help


def test_the_models_of_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    """As lines or as JSON. OCI's bare endpoint has no GET, so the list comes from its inference endpoint."""
    with Emulator(models=["llama-4", "qwen-3"]) as emulator:
        assert 0 == main(["models", emulator.endpoint, "--auth-type", "none"])
        lines = capsys.readouterr().out.splitlines()
        assert 0 == main(["models", emulator.modelarts.websocket_endpoint, "--auth-type", "none", "--json"])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert 1 == main(["models", f"{emulator.url}/endpoints/emulated", "--auth-type", "none"])

    assert ["llama-4", "qwen-3"] == [line.split()[0] for line in lines]
    assert ["llama-4", "qwen-3"] == [one["id"] for one in document["models"]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is generated from the parser."""
    assert 0 == main(["completion", shell])
    script = capsys.readouterr().out

    for word in ("chat", "check", "models", "api-key", "oci-genai", "upstream"):
        assert word in script


COMPLETIONS = {
    "bash": 'source {script}; COMP_WORDS=(mdstream check --platform s); COMP_CWORD=3; _mdstream; echo "${{COMPREPLY[@]}}"',
    "fish": 'source {script}; complete -C "mdstream check --platform s"',
}


@pytest.mark.parametrize(("shell", "command"), COMPLETIONS.items(), ids=COMPLETIONS)
def test_a_shell_completes(shell: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell itself runs the script."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    main(["completion", shell])
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        [shell, "-c", command.format(script=script)], capture_output=True, text=True, timeout=30, check=True
    )

    assert "sagemaker" == done.stdout.strip().partition("\t")[0]  # fish adds a description
    assert "" == done.stderr


@pytest.mark.parametrize("width", [60, 120])
def test_the_findings_are_wrapped_to_the_terminal(emulator: Emulator, width: int) -> None:
    """No line of `check` is wider than the terminal."""
    with PseudoTerminal("check", emulator.endpoint, "--auth-type", "none", columns=width) as terminal:
        assert 0 == terminal.wait()
        shown = re.sub(r"\x1b\[[\d;]*m", "", terminal.output)

    assert "All checks passed" in shown
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("command", ["chat", "check", "models", "completion"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the exit codes too."""
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    shown = capsys.readouterr().out

    assert 0 == exit_info.value.code
    assert "Examples:" in shown
    assert "Exit codes:" in shown
    assert f"mdstream {command} " in shown
