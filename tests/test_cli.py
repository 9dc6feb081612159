"""The command line, run as people run it."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from typing import IO

import pytest
from _raw_client import HELLO, STREAM, send_request

from mdstream_core import __version__
from mdstream_core.cli import main
from mdstream_core.emulator import Emulator

MDSTREAM = [sys.executable, "-m", "mdstream_core.cli"]


def test_the_demonstration_shows_all_and_no_color_codes_in_a_pipe() -> None:
    """On each platform both frameworks stream twice, then show the broken stream with its code and partial."""
    shown = subprocess.run([*MDSTREAM, "demo", "--fast"], capture_output=True, text=True, timeout=60, check=True).stdout

    assert "\x1b" not in shown
    assert 16 == shown.count("The Nile, the Amazon and the Danube. ✓")
    assert 8 == shown.count(" ✗")
    assert 2 == shown.count("ModelResponseTimeExceeded\n")
    assert 8 == len(re.findall(r"request id +\S{32}", shown))
    assert 8 == len(re.findall(r"Stream\w+, and the partial 'The Nile, the Amazon", shown))
    assert "taken for a whole one" not in shown


def test_the_demonstration_of_one_platform() -> None:
    """`--platform` chooses."""
    requested = [*MDSTREAM, "demo", "--fast", "--platform", "sagemaker"]
    shown = subprocess.run(requested, capture_output=True, text=True, timeout=60, check=True).stdout

    assert ["LangChain · ChatSagemakerEndpoint", "LlamaIndex · SageMakerLLM"] == re.findall(r".* · .*", shown)


def test_color_can_be_requested_for() -> None:
    """`FORCE_COLOR` colours a pipe, `NO_COLOR` wins."""
    environment = {"PATH": "/usr/bin", "PYTHONIOENCODING": "utf-8"}
    forced, refused = (
        subprocess.run(
            [*MDSTREAM, "demo", "--fast"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=environment | more,
        ).stdout
        for more in ({"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"})
    )

    assert "\x1b[1m" in forced
    assert "\x1b" not in refused


def _url(output: IO[str], label: str) -> str:
    for line in output:
        if line.startswith(label):
            return line.split()[1]
    raise AssertionError(f"no line begins with {label}")


def test_the_emulator_serves_until_ctrl_c() -> None:
    """`mdstream emulate` prints its addresses, answers any client, and ends on SIGINT."""
    process = subprocess.Popen([*MDSTREAM, "emulate"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        endpoint = _url(process.stdout, "OCI")
        question = json.dumps({"model": "odsc-llm", "messages": [{"role": "user", "content": "Name three rivers."}]})
        request = urllib.request.Request(
            f"{endpoint}/predict",
            question.encode(),
            {"content-type": "application/json", "route": "/v1/chat/completions"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert "The Nile, the Amazon and the Danube." == answer["choices"][0]["message"]["content"]
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]

    assert 130 == code


@pytest.mark.parametrize(
    ("words", "content_type", "done"),
    [
        (["--flavour", "sglang"], "text/event-stream", True),
        (["--flavour", "transformers"], "text/event-stream; charset=utf-8", False),
    ],
)
def test_the_emulator_imitates_another_server(words: list[str], content_type: str, done: bool) -> None:
    """`--flavour` chooses which."""
    process = subprocess.Popen([*MDSTREAM, "emulate", *words, "--delay", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        results = send_request(_url(process.stdout, "OCI") + STREAM, HELLO)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]

    assert content_type == results.headers["content-type"]
    assert done is results.body.endswith(b"data: [DONE]\n\n")


def test_the_version_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` says what the package says."""
    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert 0 == left.value.code
    assert f"mdstream {__version__}\n" == capsys.readouterr().out


def test_wrong_words_end_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command is told, with those that exist."""
    with pytest.raises(SystemExit) as left:
        main(["sing"])

    assert 2 == left.value.code
    assert "demo" in capsys.readouterr().err


def test_help_is_light() -> None:
    """`--help` loads neither framework, nor the emulator, an HTTP library, rich or a vendor's SDK."""
    code = (
        "import sys; from mdstream_core.cli._parser import parser; parser().format_help(); "
        "heavy = 'langchain_core llama_index h11 httpx httpcore rich IPython cryptography botocore oci'.split(); "
        "print([n for n in (*heavy, 'mdstream_core.emulator', 'mdstream_core.display') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "[]\n" == shown


@pytest.mark.parametrize(
    ("words", "content"),
    [
        (["--port", "99999"], "--port 99999"),
        (["--upstream", "here"], "--upstream here is no http://"),
        (["--flavour", "vlm"], "--flavour='vlm' is unknown (hint: use one of vllm, "),
        (["--flavour", ""], "--flavour='' is unknown (hint: use one of vllm, "),
    ],
)
def test_what_cannot_be_served_is_reported_in_a_line(
    words: list[str], content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not in a traceback."""
    assert 2 == main(["emulate", *words])
    assert content in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """By whom is not known; that it is, is told."""
    with Emulator() as emulator:
        port = emulator.url.rpartition(":")[2]
        assert 2 == main(["emulate", "--port", port])
    assert f"--port {port}" in capsys.readouterr().err
