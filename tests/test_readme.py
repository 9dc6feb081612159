"""What the README and the guides say is true: their Python runs, in order, against the emulator."""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mdstream_core.emulator import Emulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MIGRATING = (ROOT / "docs/migrating.md").read_text(encoding="utf-8")
TRACES = (ROOT / "docs/traces.md").read_text(encoding="utf-8")
ENDPOINT = re.compile(r'endpoint="https://[^"]*",\n\s*auth_type="resource_principal"')


def blocks(page: str) -> list[str]:
    """The Python of a page."""
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as cloud:
        yield cloud


def test_the_readmes_python_runs(cloud: Emulator) -> None:
    """Each block runs after those before it, with the emulator as the deployment."""
    here = cloud.oci_generative_ai
    place = f'"service_endpoint": "{here.endpoint}", "compartment_id": "{here.compartment_id}", "auth_type": "none"'
    shown = ran(README, {'"region": "us-chicago-1", "compartment_id": "ocid1.compartment.oc1..aaaa"': place}, cloud)

    assert len(blocks(README)) >= 4
    assert 2 == shown.count("The Nile, the Amazon and the Danube.")
    assert shown.rstrip().endswith("The Nile")


def test_the_guides_python_runs(cloud: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving from other packages: on each of their platforms, by the addresses that the page gives."""
    pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", cloud.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    here = cloud.oci_generative_ai
    addresses = {
        '"https://inference.generativeai.us-chicago-1.oci.oraclecloud.com"': f'"{here.endpoint}", auth_type="none"',
        "ocid1.compartment.oc1..aaaa": here.compartment_id,
        "my-endpoint": "tgi",
    }
    shown = ran(MIGRATING, addresses, cloud)

    assert 3 == shown.count("The Nile, the Amazon and the Danube.")
    assert "input_tokens" in shown


def test_the_page_on_traces_runs(cloud: Emulator) -> None:
    """A span for each of its two calls; the switch is off again."""
    pytest.importorskip("opentelemetry.sdk", reason="the application's SDK; install mdstream-llm[test]")
    shown = ran(TRACES, {}, cloud)

    assert 2 == shown.count("chat odsc-llm {'gen_ai.operation.name': 'chat'")
    assert "Nile" not in shown


def ran(page: str, addresses: Mapping[str, str], cloud: Emulator) -> str:
    """What the blocks of a page print."""
    names: dict[str, Any] = {}
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for block in blocks(page):
            here = ENDPOINT.sub(f'endpoint="{cloud.endpoint}", auth_type="none"', block)
            for there, address in addresses.items():
                here = here.replace(there, address)
            exec(compile(here, "a page", "exec"), names)
    return shown.getvalue()


@pytest.mark.parametrize("page", [README, MIGRATING, TRACES], ids=["README", "migrating", "traces"])
def test_pages_name_files_that_exist(page: str) -> None:
    """Their paths lead somewhere."""
    for path in re.findall(r"`((?:docs|tests|benchmarks)/[\w./]+)`", page):
        assert (ROOT / path).exists(), path
