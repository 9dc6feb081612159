"""The command line: demo, emulate, usage errors, help and platform names."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from typing import IO

import pytest
from _raw_client import HELLO, STREAM, send_request

from mdstream_core import __version__, platforms
from mdstream_core.cli import main
from mdstream_core.cli._platform_names import PLATFORM_NAMES, parse_platform_name
from mdstream_core.emulator import Emulator

MDSTREAM = [sys.executable, "-m", "mdstream_core.cli"]


def test_the_demo_shows_each_platform_and_no_color_codes_in_a_pipe() -> None:
    """On each platform both frameworks stream twice, then show a failing stream with its code and partial."""
    shown = subprocess.run([*MDSTREAM, "demo", "--fast"], capture_output=True, text=True, timeout=60, check=True).stdout

    assert "\x1b" not in shown
    assert 16 == shown.count("The Nile, the Amazon and the Danube. ✓")
    assert 8 == shown.count(" ✗")
    assert 2 == shown.count("ModelResponseTimeExceeded\n")
    assert 8 == len(re.findall(r"request id +\S{32}", shown))
    assert 8 == len(re.findall(r"Stream\w+, and the partial 'The Nile, the Amazon", shown))
    assert "taken for a whole one" not in shown


def test_the_demo_of_one_platform() -> None:
    """`--platform` selects it."""
    command = [*MDSTREAM, "demo", "--fast", "--platform", "sagemaker"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert ["LangChain · ChatSagemakerEndpoint · sagemaker", "LlamaIndex · SageMakerLLM · sagemaker"] == re.findall(
        r".* · .*", shown
    )


def test_color_is_forced_by_force_color_and_disabled_by_no_color() -> None:
    """`NO_COLOR` has priority."""
    environment = {"PATH": "/usr/bin", "PYTHONIOENCODING": "utf-8"}
    forced, disabled = (
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
    assert "\x1b" not in disabled


def _read_url(output: IO[str], label: str) -> str:
    for line in output:
        if line.startswith(f"{label} "):
            return line.split()[1]
    raise AssertionError(f"no line begins with {label}")


def test_the_emulator_serves_until_ctrl_c() -> None:
    """`mdstream emulate` prints its addresses, serves any client, and ends on SIGINT with exit code 130."""
    process = subprocess.Popen([*MDSTREAM, "emulate"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        endpoint = _read_url(process.stdout, "oci-model-deployment")
        payload = json.dumps({"model": "odsc-llm", "messages": [{"role": "user", "content": "Name three rivers."}]})
        request = urllib.request.Request(
            f"{endpoint}/predict",
            payload.encode(),
            {"content-type": "application/json", "route": "/v1/chat/completions"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            document = json.load(response)
        assert "The Nile, the Amazon and the Danube." == document["choices"][0]["message"]["content"]
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]

    assert 130 == code


@pytest.mark.parametrize(
    ("options", "content_type", "done"),
    [
        (["--flavour", "sglang"], "text/event-stream", True),
        (["--flavour", "transformers"], "text/event-stream; charset=utf-8", False),
    ],
)
def test_the_emulator_imitates_another_model_server(options: list[str], content_type: str, done: bool) -> None:
    """`--flavour` selects it."""
    process = subprocess.Popen([*MDSTREAM, "emulate", *options, "--delay", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        response = send_request(_read_url(process.stdout, "oci-model-deployment") + STREAM, HELLO)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]

    assert content_type == response.headers["content-type"]
    assert done is response.body.endswith(b"data: [DONE]\n\n")


def test_the_emulator_enforces_a_rate_and_prints_its_totals() -> None:
    """The third request exceeds the burst; the totals are printed at the end."""
    options = "--requests-per-second 0.0003 --burst 2 --retry-after 9 --rate-limit-scope endpoint --delay 0".split()
    process = subprocess.Popen([*MDSTREAM, "emulate", *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = _read_url(process.stdout, "oci-model-deployment") + STREAM
        responses = [send_request(url, HELLO) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]

    assert [200, 200, 429] == [response.status for response in responses]
    assert "9" == responses[-1].headers["retry-after"]
    assert "LB bandwidth" in responses[-1].json["message"]
    assert "\n3 requests: 2 accepted, 1 rejected by a rate limit; at most " in output


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints it."""
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])

    assert 0 == exit_info.value.code
    assert f"mdstream {__version__}\n" == capsys.readouterr().out


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the commands that exist."""
    with pytest.raises(SystemExit) as exit_info:
        main(["sing"])

    assert 2 == exit_info.value.code
    assert "demo" in capsys.readouterr().err


def test_help_imports_nothing_slow() -> None:
    """`--help` loads neither framework, nor the emulator, an HTTP library, rich or a vendor's SDK."""
    code = (
        "import sys; from mdstream_core.cli._parser import build_parser; build_parser().format_help(); "
        "heavy = 'langchain_core llama_index h11 httpx httpcore rich IPython cryptography botocore oci'.split(); "
        "print([n for n in (*heavy, 'mdstream_core.emulator', 'mdstream_core.display') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "[]\n" == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "1", "--host", "203.0.113.1"], "cannot listen on --host 203.0.113.1 --port 1: "),
        (["--upstream", "here"], "--upstream here is not an http://"),
        (["--flavour", "vlm"], "--flavour='vlm' is unknown\nhint: use one of vllm, "),
        (["--flavour", ""], "--flavour='' is unknown\nhint: use one of vllm, "),
        (["--requests-per-second", "0"], "--requests-per-second=0.0 is out of range\nhint: pass more than 0"),
        (["--requests-per-second", "1", "--burst", "0"], "--burst=0 is out of range\nhint: pass how many requests"),
        (["--burst", "2"], "--burst has no rate limit to apply to\nhint: add --requests-per-second"),
        (["--rate-limit-scope", "endpoint"], "--rate-limit-scope has no rate limit to apply to\nhint: add"),
        (["--requests-per-second", "1", "--retry-after", "soon"], "--retry-after soon is not a number of seconds"),
        (["--requests-per-second", "1", "--retry-after", "-1"], "--retry-after=-1.0 is out of range"),
    ],
)
def test_an_invalid_option_of_the_emulator_is_a_usage_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported in one line, without a traceback."""
    assert 2 == main(["emulate", *arguments])
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the port."""
    with Emulator() as emulator:
        port = emulator.url.rpartition(":")[2]
        assert 2 == main(["emulate", "--port", port])
    assert f"--port {port}" in capsys.readouterr().err


def test_a_number_that_is_no_port(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, the option and a hint."""
    with pytest.raises(SystemExit) as exit_info:
        main(["emulate", "--port", "99999"])
    message = capsys.readouterr().err

    assert 2 == exit_info.value.code
    assert "argument --port: '99999' is not a port\nhint: pass 0 to 65535" in message


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["chek"], "did you mean check?"),
        (["check", "--profle", "TEAM", "my-endpoint"], "did you mean --profile?"),
        (["check", "my-endpoint", "--platform", "sagmaker"], "did you mean sagemaker?"),
        (["check", "my-endpoint", "--platform", "oci"], "did you mean oci-model-deployment or oci-genai?"),
        (["check", "my-endpoint", "--platform", "azure"], "use one of oci-model-deployment, oci-genai, "),
        (["check"], "run 'mdstream check --help' for the options"),
        (["check", "my-endpoint", "--timeout", "soon"], "pass seconds, more than 0"),
    ],
)
def test_a_usage_error_has_a_hint(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On a line of its own."""
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)

    assert 2 == exit_info.value.code
    assert f"\nhint: {hint}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("oci-generative-ai", "oci-genai"),
        ("oci_genai", "oci-genai"),
        ("OCI GenAI", "oci-genai"),
        ("oci-ods", "oci-model-deployment"),
        ("odsc", "oci-model-deployment"),
        ("model-deployment", "oci-model-deployment"),
        ("aws", "sagemaker"),
        ("Amazon-SageMaker", "sagemaker"),
        ("huawei", "modelarts"),
        ("huawei-modelarts", "modelarts"),
        *((name, name) for name in PLATFORM_NAMES),
    ],
)
def test_a_platform_has_several_spellings(spelling: str, name: str) -> None:
    """`--platform` accepts them."""
    assert name == parse_platform_name(spelling)


def test_platform_names_are_those_of_the_platforms() -> None:
    """The command line and `Platform.name` use the same names."""
    assert {*PLATFORM_NAMES} == {getattr(platforms, name).name for name in platforms.__all__ if name != "Platform"}


@pytest.mark.parametrize("command", ["chat", "check", "models"])
def test_help_has_groups(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Endpoint, Authentication, Connection and Output, in this order."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    headings = re.findall(r"^([A-Z][a-z]+):$", capsys.readouterr().out, re.MULTILINE)

    groups = ["Endpoint", "Authentication", "Connection", "Output"]
    assert groups == [heading for heading in headings if heading in groups]
