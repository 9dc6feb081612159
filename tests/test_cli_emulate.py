"""`mdstream emulate` prints commands and constructor calls that reach each service."""

import contextlib
import io
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mdstream_core.cli import main
from mdstream_core.cli._emulate import _print_addresses
from mdstream_core.cli._endpoints import parse_endpoint
from mdstream_core.cli._platform_names import PLATFORM_NAMES
from mdstream_core.emulator import Emulator

RESPONSE = "The Nile, the Amazon and the Danube."
SERVICES = (*PLATFORM_NAMES, "openai-compatible")


@pytest.fixture(scope="module")
def printed() -> Iterator[str]:
    """What a running `mdstream emulate` printed."""
    command = [sys.executable, "-m", "mdstream_core.cli", "emulate", "--port", "0", "--delay", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Press Ctrl-C" in line:
                break
        yield "".join(lines)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def rows(printed: str, service: str) -> dict[str, str]:
    """The rows of a service by label; its address is "address"."""
    (block,) = [block for block in printed.split("\n\n") if block.startswith(f"{service} ")]
    labels = (re.split(r"  +", line.strip(), maxsplit=1) for line in block.splitlines())
    return {"address" if label == service else label: text for label, text in labels}


@pytest.fixture(autouse=True)
def without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Nothing that another tool left in the environment is used."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)


def run_command(command: str) -> tuple[int, str]:
    """Run a printed command as the shell does; return its exit code and output."""
    program, *arguments = shlex.split(command)
    assert "mdstream" == program
    with contextlib.redirect_stdout(io.StringIO()) as output:
        return main(arguments), output.getvalue()


@pytest.mark.parametrize("service", SERVICES)
def test_the_printed_command_reaches_the_service(service: str, printed: str) -> None:
    """It works as printed, without a further option."""
    code, output = run_command(rows(printed, service)["command"])

    assert 0 == code
    assert RESPONSE in output


@pytest.mark.parametrize("service", SERVICES)
def test_check_and_models_accept_the_same_address_and_options(service: str, printed: str) -> None:
    """`mdstream check` finds nothing wrong; `mdstream models` lists them where the service has a list."""
    _, _, *arguments, _ = shlex.split(rows(printed, service)["command"])

    code, output = run_command(shlex.join(["mdstream", "check", *arguments]))
    assert 0 == code, output
    if service != "sagemaker":  # it has no list
        code, output = run_command(shlex.join(["mdstream", "models", *arguments]))
        assert (0, True) == (code, bool(output.strip())), output


@pytest.mark.parametrize("name", ["WebSocket", "MaaS"])
def test_further_addresses_of_modelarts(name: str, printed: str) -> None:
    """The options of the printed command reach them too."""
    modelarts = rows(printed, "modelarts")
    code, output = run_command(modelarts["command"].replace(modelarts["address"], modelarts[name]))

    assert (0, True) == (code, RESPONSE in output)


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
@pytest.mark.parametrize("service", SERVICES)
def test_the_printed_constructor_call_reaches_the_service(service: str, framework: str, printed: str) -> None:
    """After the printed import it creates a chat model that streams."""
    imports = dict(re.findall(r"^(\w+) imports +(.+)$", printed, re.MULTILINE))
    names: dict[str, Any] = {}
    exec(imports[framework], names)
    model = eval(rows(printed, service)[framework], names)
    if framework == "LangChain":
        text = "".join(chunk.text for chunk in model.stream("Name three rivers."))
    else:
        text = "".join(response.delta for response in model.stream_complete("Name three rivers."))

    model.close()

    assert RESPONSE == text


@pytest.mark.parametrize("platform", PLATFORM_NAMES)
def test_the_platform_of_a_printed_address_is_detected(platform: str, printed: str) -> None:
    """`--platform` is not needed."""
    assert platform == parse_endpoint(rows(printed, platform)["address"]).platform


def test_the_values_of_all_services_are_in_one_column(printed: str) -> None:
    """Labels are short enough for the column, and nothing but the last line is outside of it."""
    *lines, last = [line for line in printed.splitlines() if line]

    assert [] == [line for line in lines if not re.match(r".{20}  \S", line)]
    assert last.endswith("Press Ctrl-C to stop.")


def test_an_ipv6_address_is_quoted_for_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """Shells expand brackets."""
    _print_addresses(Emulator(host="::1", port=8080))

    assert "mdstream chat 'http://[::1]:8080/endpoints/emulated' --auth-type none" in capsys.readouterr().out
