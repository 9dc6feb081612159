"""The pytest plugin, tested in separate pytest runs, as another project uses it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
STRICT = ("--strict-markers", "--strict-config", "-Werror")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with no other plugin, whatever is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    return pytester


def run_pytest(project: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    project.makepyfile(tests)
    return project.runpytest_subprocess("-p", "pytest_mdstream", *STRICT, *options)


def test_the_fixture_is_an_emulator(project: pytest.Pytester) -> None:
    """
    It responds, injects faults and records requests.
    """
    result = run_pytest(
        project,
        """
        import httpx
        from mdstream_core.emulator import Fault

        PARAMS = {"messages": [{"role": "user", "content": "Name three rivers."}], "stream": True}

        def test_a_response(mdstream_emulator):
            answer = httpx.post(f"{mdstream_emulator.openai_url}/chat/completions", json=PARAMS)
            assert "[DONE]" in answer.text
            assert 1 == len(mdstream_emulator.requests)

        def test_a_fault(mdstream_emulator):
            mdstream_emulator.script(Fault("refuse", "unavailable"))
            answer = httpx.post(f"{mdstream_emulator.openai_url}/chat/completions", json=PARAMS)
            assert 503 == answer.status_code
        """,
    )

    result.assert_outcomes(passed=2)


def test_tests_share_an_emulator_without_its_state(project: pytest.Pytester) -> None:
    """
    Requests and script of one test are cleared for the next; other options get another emulator.
    """
    result = run_pytest(
        project,
        """
        import httpx, pytest
        from mdstream_core.emulator import Fault

        SEEN = []

        def test_one(mdstream_emulator):
            SEEN.append(mdstream_emulator)
            mdstream_emulator.script(Fault("refuse"), Fault("refuse"))
            mdstream_emulator.always(Fault("refuse"))
            assert 500 == httpx.get(f"{mdstream_emulator.openai_url}/models").status_code

        def test_two(mdstream_emulator):
            assert mdstream_emulator is SEEN[0]
            assert [] == mdstream_emulator.requests
            assert 200 == httpx.get(f"{mdstream_emulator.openai_url}/models").status_code

        @pytest.mark.mdstream(models=["odsc-llm"])
        def test_three(mdstream_emulator):
            assert mdstream_emulator is not SEEN[0]
        """,
    )

    result.assert_outcomes(passed=3)


def test_the_marker_scripts_and_configures(project: pytest.Pytester) -> None:
    """
    Its arguments are steps, its keywords options; the options of a marker on the test win over those of the class.
    """
    result = run_pytest(
        project,
        """
        import httpx, pytest
        from mdstream_core.emulator import Fault

        def status(emulator):
            return httpx.get(f"{emulator.openai_url}/models", headers={"authorization": "Bearer mine"}).status_code

        @pytest.mark.mdstream(Fault("refuse", "unavailable"), api_keys=["mine"])
        class TestRefused:
            def test_by_the_class(self, mdstream_emulator):
                assert [503, 200] == [status(mdstream_emulator), status(mdstream_emulator)]

            @pytest.mark.mdstream(None, Fault("refuse", "lb_bandwidth"), api_keys=["another"])
            def test_by_both(self, mdstream_emulator):
                assert [503, 401, 429] == [status(mdstream_emulator) for _ in range(3)]
        """,
    )

    result.assert_outcomes(passed=2)


def test_the_marker_sets_rate_limits(project: pytest.Pytester) -> None:
    """
    Each test starts with the marker's limits, with nothing counted, whatever the test before changed.
    """
    result = run_pytest(
        project,
        """
        import httpx, pytest
        from mdstream_core.emulator import RequestRateLimit

        pytestmark = pytest.mark.mdstream(rate_limits=[RequestRateLimit(1 / 3600, burst=2)])

        def statuses(emulator):
            return [httpx.get(f"{emulator.openai_url}/models").status_code for _ in range(3)]

        def test_one(mdstream_emulator):
            assert [200, 200, 429] == statuses(mdstream_emulator)
            mdstream_emulator.rate_limits = []
            assert [200, 200, 200] == statuses(mdstream_emulator)

        def test_two(mdstream_emulator):
            assert [200, 200, 429] == statuses(mdstream_emulator)
            assert 1 == mdstream_emulator.ledger.rejected_count
        """,
    )

    result.assert_outcomes(passed=2)


def test_an_unknown_option_is_an_error(project: pytest.Pytester) -> None:
    """
    A misspelt keyword is an error of that test, with Python's message.
    """
    result = run_pytest(project, "import pytest\n@pytest.mark.mdstream(dealy=1)\ndef test_it(mdstream_emulator): pass")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'dealy'*"])


def test_the_fixture_and_the_marker_are_described(project: pytest.Pytester) -> None:
    """
    `pytest --fixtures` and `pytest --markers` list them.
    """
    fixtures = project.runpytest_subprocess("-p", "pytest_mdstream", "--fixtures")
    markers = project.runpytest_subprocess("-p", "pytest_mdstream", "--markers")

    fixtures.stdout.fnmatch_lines(["mdstream_emulator *", "*The four services on loopback*"])
    markers.stdout.fnmatch_lines(["@pytest.mark.mdstream(?steps, ??options): *"])


def test_an_unused_plugin_imports_nothing(project: pytest.Pytester) -> None:
    """
    Neither mdstream's core nor its dependencies are imported.
    """
    result = run_pytest(
        project,
        """
        import sys

        def test_nothing_was_imported():
            ours = {name.partition(".")[0] for name in sys.modules}
            heavy = {"mdstream_core", "httpx", "httpcore", "h11", "cryptography", "websockets", "pydantic"}
            assert "pytest_mdstream" in ours
            assert set() == ours & heavy
        """,
    )

    result.assert_outcomes(passed=1)


def test_importing_the_plugin_imports_nothing_else() -> None:
    """
    No module besides pytest's.
    """
    script = "import sys, pytest; had = set(sys.modules); import pytest_mdstream; print(sorted(set(sys.modules) - had))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )

    assert "['pytest_mdstream']" == result.stdout.strip()


def test_pytest_finds_the_plugin_by_its_entry_point(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Tested with a distribution that has nothing but the entry point.
    """
    info = project.mkdir("installed") / "mdstream_elsewhere-1.dist-info"
    info.mkdir()
    points = "".join(f"{name} = {module}\n" for name, module in ENTRY_POINTS["pytest11"].items())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mdstream-elsewhere\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(info.parent), os.environ["PYTHONPATH"]]))
    project.makepyfile("def test_it(mdstream_emulator): assert mdstream_emulator.endpoint")
    result = project.runpytest_subprocess("--strict-markers", "-p", "no:asyncio", "-p", "no:socket")

    result.assert_outcomes(passed=1)
    assert re.search(r"plugins:.*mdstream-elsewhere-1", result.stdout.str())


def test_the_marker_plays_a_recording_back(project: pytest.Pytester) -> None:
    """
    The recording lies beside the test.
    """
    result = run_pytest(
        project,
        """
        import pytest
        from contextlib import closing
        from pathlib import Path
        from langchain_mdstream import ChatOCIModelDeployment
        from mdstream_core.errors import StreamTimeout
        from mdstream_core.emulator import Fault
        from mdstream_core.recording import record

        def fails(emulator):
            with closing(ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none")) as chat:
                with pytest.raises(StreamTimeout):
                    chat.invoke("Hi", stream=True)

        def test_a_failure_is_recorded(mdstream_emulator):
            mdstream_emulator.script(Fault("trailer", after=3))
            with record(Path(__file__).parent / "failure.jsonl"):
                fails(mdstream_emulator)

        @pytest.mark.mdstream_replay("failure.jsonl")
        def test_the_recording(mdstream_emulator):
            fails(mdstream_emulator)
        """,
    )

    result.assert_outcomes(passed=2)
