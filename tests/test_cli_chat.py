"""`mdstream chat`, `models` and `completion`, run as people run them: in a pipe, and at a terminal."""

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
    """`mdstream` with its standard streams in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "mdstream_core.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=content or "",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )


#: How each platform is asked.
PLATFORM_CASES: dict[str, Callable[[Emulator], list[str]]] = {
    "OCI model deployment": lambda emulator: [emulator.endpoint],
    "OCI GenAI": lambda emulator: [
        emulator.url,
        *("--platform", "oci-genai", "--model", "xai.grok-4"),
        *("--compartment", emulator.oci_generative_ai.compartment_id),
    ],
    "SageMaker": lambda emulator: [f"{emulator.url}/endpoints/emulated"],
    "ModelArts": lambda emulator: [emulator.modelarts.websocket_endpoint],
    "MaaS": lambda emulator: [emulator.modelarts.maas],
}


@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
def test_one_request(
    emulator: Emulator, platform_case: Callable[[Emulator], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer alone is on standard output; time and usage beside it."""
    assert 0 == main(["chat", *platform_case(emulator), "--auth-type", "none", "Name", "three", "rivers."])
    out, notes = capsys.readouterr()

    assert f"{RIVERS}\n" == out
    assert "first token" in notes
    assert re.search(r"\d+ tokens in, \d+ out", notes)


def test_a_request_from_standard_input(emulator: Emulator) -> None:
    """So it stands in a pipe of a shell."""
    done = run("chat", emulator.endpoint, "--auth-type", "none", said="Name three rivers.\n")

    assert (0, f"{RIVERS}\n") == (done.returncode, done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_request_as_json(emulator: Emulator) -> None:
    """One document, with times and usage."""
    done = run("chat", emulator.endpoint, "--auth-type", "none", "--json", "Name three rivers.")
    document = json.loads(done.stdout)

    assert document["ok"]
    assert RIVERS == document["text"]
    assert document["first_token"] <= document["seconds"]
    assert document["usage"]["output"] > 0
    assert "" == done.stderr


def test_a_stopped_response_is_a_document_too(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C while `--json` waits: exit code 130, and what had come."""
    emulator.script(Fault("stall", after=6))

    def presses() -> None:
        while not emulator.requests:
            time.sleep(0.01)
        time.sleep(0.3)  # the more of the answer there is, the better
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = threading.Thread(target=presses)
    presser.start()
    code = main(["chat", emulator.endpoint, "--auth-type", "none", "--json", "Name three rivers."])
    presser.join()
    document = json.loads(capsys.readouterr().out)

    assert 130 == code
    assert not document["ok"]
    assert RIVERS.startswith(document["partial"]["text"])


def test_a_broken_response_is_shown_and_reported(emulator: Emulator) -> None:
    """Half on standard output, the reason beside it, and exit code 1; as JSON the same."""
    emulator.always(Fault("trailer", after=6))
    done = run("chat", emulator.endpoint, "--auth-type", "none", "Name three rivers.")
    document = json.loads(run("chat", emulator.endpoint, "--auth-type", "none", "--json", "Name three rivers.").stdout)

    assert (1, "The Nile, the Amazon\n") == (done.returncode, done.stdout)
    assert "✗ The service stopped, because the answer took too long." in done.stderr
    assert "request id" in done.stderr
    assert not document["ok"]
    assert "ModelResponseTimeExceeded" == document["error"]["code"]
    assert "The Nile, the Amazon" == document["partial"]["text"]


def test_what_the_model_is_reported(emulator: Emulator) -> None:
    """Options become fields of the question, wherever the question's words stand."""
    main(["chat", emulator.endpoint, "--auth-type", "none", "--system", "Be brief.", "--max-tokens", "9", "--temperature", "0.5", "--header", "x-team: blue", "Hello!"])  # fmt: skip
    requested = emulator.last.json

    assert ["Be brief.", "Hello!"] == [message["content"] for message in requested["messages"]]
    assert (9, 0.5, "odsc-llm") == (requested["max_tokens"], requested["temperature"], requested["model"])
    assert "blue" == emulator.last.headers["x-team"]


def test_the_servers_first_model_is_requested(capsys: pytest.CaptureFixture[str]) -> None:
    """Where none is said, on platforms whose models have no usual name."""
    with Emulator(models=["qwen-3"]) as emulator:
        assert 0 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", "Hello!"])
        assert "qwen-3" == emulator.last.json["model"]


#: How a server answers that does not list its models.
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
def test_a_server_without_a_list_is_requested_without_a_name(
    emulator: Emulator, fault: Fault, platform_case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many have one model only, and answer."""
    where = {**PLATFORM_CASES, "ModelArts over HTTP": lambda emulator: [emulator.modelarts.endpoint]}[platform_case](
        emulator
    )
    emulator.script(fault)

    assert 0 == main(["chat", *where, "--auth-type", "none", "Name three rivers."])
    assert f"{RIVERS}\n" == capsys.readouterr().out
    emulator.reset()
    emulator.script(fault)
    assert 0 == main(["chat", *where, "--auth-type", "none", "--json", "Name three rivers."])
    assert RIVERS == json.loads(capsys.readouterr().out)["text"]


def test_a_request_that_is_rejected_for_want_of_a_name_states_how_to_give_one(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody knows the name, the hint is that it was not sent."""
    for more in ([], ["--json"]):
        emulator.script(Fault("refuse", "not_found"), Fault("refuse", "vllm_model"))
        assert 1 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", *more, "Hello!"])
        assert "name one with --model" in "".join(capsys.readouterr())
        emulator.reset()


def test_a_name_that_was_given_is_no_hint(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that knows another is believed."""
    emulator.script(Fault("refuse", "vllm_model"))

    assert 1 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", "--model", "nope", "Hello!"])
    assert "hint" not in capsys.readouterr().err


def test_a_credential_that_is_refused_is_not_tried_again(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who may not see the list may not ask either."""
    emulator.script(Fault("refuse", "not_authenticated"))

    assert 1 == main(["chat", emulator.modelarts.endpoint, "--auth-type", "none", "Hello!"])
    assert 1 == len(emulator.requests)
    assert "NotAuthenticated" in capsys.readouterr().err


def test_a_conversation_without_a_name(emulator: Emulator) -> None:
    """It begins all the same."""
    emulator.script(Fault("refuse", "not_found"))
    with PseudoTerminal("chat", emulator.modelarts.endpoint, "--auth-type", "none") as terminal:
        terminal.until("the model listens")
        terminal.until("> ")
        terminal.type("Name three rivers.\n")
        terminal.until("Danube")


def test_a_conversation(emulator: Emulator) -> None:
    """A prompt; what was said before is known; Ctrl-D ends it."""
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none") as terminal:
        terminal.until("> ")
        terminal.type("Name three rivers.\n")
        terminal.until("✓")
        terminal.until("> ", times=2)
        terminal.type("My name is Ada.\n")
        terminal.until("✓", times=2)
        terminal.until("> ", times=3)
        terminal.type("\x04")

        assert 0 == terminal.ended()
        assert RIVERS in terminal.written
    assert ["user", "assistant", "user"] == [message["role"] for message in emulator.last.json["messages"]]


def test_a_broken_response_does_not_stay_in_the_conversation(emulator: Emulator) -> None:
    """Nor its question: asked again it is asked as if for the first time."""
    emulator.script(Fault("trailer", after=6))
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none") as terminal:
        terminal.until("> ")
        terminal.type("Name three rivers.\n")
        terminal.until("ask again.")
        terminal.until("> ", times=2)
        terminal.type("Name three rivers.\n")
        terminal.until("✓")
        terminal.until("> ", times=3)
        terminal.type("\x04")

        assert 0 == terminal.ended()
        assert "took too long" in terminal.written
    assert 1 == len(emulator.last.json["messages"])


def test_ctrl_c_stops_a_response_and_then_us(emulator: Emulator) -> None:
    """The first stops waiting for the answer, one at the prompt ends the conversation."""
    emulator.script(Fault("hold", after=4, seconds=60))
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none") as terminal:
        terminal.until("> ")
        terminal.type("Name three rivers.\n")
        terminal.until("The Nile")
        terminal.type("\x03")
        terminal.until("stopped")
        assert emulator.last.client_closed.wait(5)
        terminal.until("> ", times=2)

        assert 130 == terminal.ended(pressing="\x03")
        assert "Traceback" not in terminal.written


def test_ctrl_c_in_a_pipe(emulator: Emulator) -> None:
    """What came was written; the exit code says that it was stopped."""
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
    read = b""
    while b"Nile" not in read:
        read += os.read(process.stdout.fileno(), 100)
    process.send_signal(signal.SIGINT)
    _, notes = process.communicate(timeout=30)

    assert 130 == process.returncode
    assert "stopped" in notes.decode()
    assert "Traceback" not in notes.decode()


def test_a_reader_who_has_seen_enough(emulator: Emulator) -> None:
    """`| head` is no failure to write home about."""
    command = f"{sys.executable} -m mdstream_core.cli completion fish | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=True)

    assert "" == done.stderr


def test_without_rich_it_is_plain(emulator: Emulator, tmp_path: Path) -> None:
    """A terminal without rich shows the same words."""
    (tmp_path / "rich.py").write_text("raise ImportError('hidden')\n")
    hidden = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    with PseudoTerminal(
        "chat", emulator.endpoint, "--auth-type", "none", "Name three rivers.", PYTHONPATH=hidden
    ) as terminal:
        assert 0 == terminal.ended()

        assert RIVERS in terminal.written
        assert "✓" in terminal.written


# --- secrets


def test_a_secret_on_the_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Without repeating it, and with the places that are right."""
    code = main(["models", "https://api.modelarts-maas.com/v1", "--api-key", KEY])
    content = "".join(capsys.readouterr())

    assert 2 == code
    assert KEY not in content
    assert "env:NAME, file:PATH" in content
    assert 2 == main(
        ["models", "https://api.modelarts-maas.com/v1", "--auth-type", "none", "--header", f"x-api-key: {KEY}"]
    )
    assert KEY not in "".join(capsys.readouterr())


def test_keys_from_each_position(tmp_path: Path) -> None:
    """A variable, a file, standard input; and the variable that is looked for."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    with Emulator(api_keys=[KEY]) as emulator:
        send_request = lambda *more, **how: run("chat", emulator.endpoint, *more, "Name three rivers.", **how)  # noqa: E731
        responses = [
            send_request("--api-key", "env:ANY", ANY=KEY),
            send_request("--api-key", f"file:{tmp_path / 'key'}"),
            send_request("--api-key", "-", said=f"{KEY}\n"),
            send_request(MDSTREAM_API_KEY=KEY),
        ]
        refused = send_request("--api-key", "env:ANY", ANY="sk-another-key")

    assert [(0, f"{RIVERS}\n")] * 4 == [(done.returncode, done.stdout) for done in responses]
    assert 1 == refused.returncode
    assert "The credential was not accepted." in refused.stderr
    assert not [done for done in responses if KEY in done.stdout + done.stderr]


def test_what_is_missing_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    """3, in words and as JSON."""
    bare = {name: "" for name in os.environ if name.startswith(("OCI_", "MDSTREAM_"))}
    done = run("models", "ocid1.datasciencemodeldeployment.oc1.iad.x", HOME=str(tmp_path), **bare)
    document = run("models", "ocid1.datasciencemodeldeployment.oc1.iad.x", "--json", HOME=str(tmp_path), **bare)

    assert 3 == done.returncode == document.returncode
    assert "no OCI credential found" in done.stderr
    assert "MissingCredential" == json.loads(document.stdout)["error"]["type"]


# --- where


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


@pytest.mark.parametrize(("endpoint", "meant"), FORMS.items(), ids=FORMS)
def test_an_endpoint_states_whose_it_is(endpoint: str, meant: tuple[str, dict[str, str]]) -> None:
    """By its form alone."""
    platform_case = parse_endpoint(endpoint)

    assert meant == (platform_case.platform, platform_case.fields)


UNKNOWN = ["https://example.com/v1", "my endpoint", "", "http://127.0.0.1:8000"]


@pytest.mark.parametrize("endpoint", UNKNOWN)
def test_an_endpoint_that_does_not_state_it(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what it could be."""
    assert 2 == main(["models", endpoint])
    assert "--platform" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--platform", "oci-genai"], "--compartment is missing"),
        (["--platform", "oci-genai", "--compartment", "ocid1.compartment.oc1..x"], "--model is missing"),
        (["--platform", "sagemaker"], "none of sagemaker"),
    ],
)
def test_what_an_option_lacks(more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the option's name."""
    assert 2 == main(["chat", "http://127.0.0.1:1", "--auth-type", "none", *more, "Hello!"])
    assert words in capsys.readouterr().err


# --- models, completion, help


def test_the_models_of_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, or a document; on OCI's bare endpoint, which takes no GET, by its inference endpoint."""
    with Emulator(models=["llama-4", "qwen-3"]) as emulator:
        assert 0 == main(["models", emulator.endpoint, "--auth-type", "none"])
        lines = capsys.readouterr().out.splitlines()
        assert 0 == main(["models", emulator.modelarts.websocket_endpoint, "--auth-type", "none", "--json"])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert 1 == main(["models", f"{emulator.url}/endpoints/emulated", "--auth-type", "none"])

    assert ["llama-4", "qwen-3"] == [line.split()[0] for line in lines]
    assert ["llama-4", "qwen-3"] == [one["id"] for one in document["models"]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Because it is written from the options."""
    assert 0 == main(["completion", shell])
    script = capsys.readouterr().out

    for word in ("chat", "check", "models", "api-key", "oci-genai", "upstream"):
        assert word in script


COMPLETIONS = {
    "bash": 'source {script}; COMP_WORDS=(mdstream check --platform s); COMP_CWORD=3; _mdstream; echo "${{COMPREPLY[@]}}"',
    "fish": 'source {script}; complete -C "mdstream check --platform s"',
}


@pytest.mark.parametrize(("shell", "asks"), COMPLETIONS.items(), ids=COMPLETIONS)
def test_a_shell_completes(shell: str, asks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell itself judges the script."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    main(["completion", shell])
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        [shell, "-c", asks.format(script=script)], capture_output=True, text=True, timeout=30, check=True
    )

    assert "sagemaker" == done.stdout.strip().partition("\t")[0]  # fish says what it is for, too
    assert "" == done.stderr


@pytest.mark.parametrize("width", [60, 120])
def test_findings_fit_the_terminal(emulator: Emulator, width: int) -> None:
    """No line of `check` is wider than the terminal."""
    with PseudoTerminal("check", emulator.endpoint, "--auth-type", "none", columns=width) as terminal:
        assert 0 == terminal.ended()
        shown = re.sub(r"\x1b\[[\d;]*m", "", terminal.written)

    assert "All is well." in shown
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("command", ["chat", "check", "models", "completion"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit codes."""
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    shown = capsys.readouterr().out

    assert 0 == left.value.code
    assert "examples:" in shown
    assert "exit codes:" in shown
    assert f"mdstream {command} " in shown
