"""The pytest plugin, as other people's projects meet it: in pytest runs of their own."""

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
def theirs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with no plugin but ours, whatever else is installed here."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    return pytester


def ran(theirs: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    theirs.makepyfile(tests)
    return theirs.runpytest_subprocess("-p", "pytest_mdstream", *STRICT, *options)


def test_a_test_has_a_platform(theirs: pytest.Pytester) -> None:
    """
    The fixture answers, breaks off on demand and tells what came in.
    """
    result = ran(
        theirs,
        """
        import httpx
        from mdstream_core.emulator import Fault

        QUESTION = {"messages": [{"role": "user", "content": "Name three rivers."}], "stream": True}

        def test_an_answer(mdstream_emulator):
            answer = httpx.post(f"{mdstream_emulator.openai_url}/chat/completions", json=QUESTION)
            assert "[DONE]" in answer.text
            assert 1 == len(mdstream_emulator.requests)

        def test_a_fault(mdstream_emulator):
            mdstream_emulator.script(Fault("refuse", "unavailable"))
            answer = httpx.post(f"{mdstream_emulator.openai_url}/chat/completions", json=QUESTION)
            assert 503 == answer.status_code
        """,
    )

    result.assert_outcomes(passed=2)


def test_tests_share_an_emulator_and_no_memories(theirs: pytest.Pytester) -> None:
    """
    What one test scripted and asked is gone for the next; the emulator is the same, unless its options are others.
    """
    result = ran(
        theirs,
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


def test_the_marker_scripts_and_configures(theirs: pytest.Pytester) -> None:
    """
    Its arguments are steps, its keywords options; a marker on the class counts less than one on the test.
    """
    result = ran(
        theirs,
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


def test_an_option_that_does_not_exist_is_reported(theirs: pytest.Pytester) -> None:
    """
    A misspelt keyword is an error of that test, with Python's words.
    """
    result = ran(theirs, "import pytest\n@pytest.mark.mdstream(dealy=1)\ndef test_it(mdstream_emulator): pass")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'dealy'*"])


def test_the_fixture_and_the_marker_are_described(theirs: pytest.Pytester) -> None:
    """
    `pytest --fixtures` and `pytest --markers` list them.
    """
    fixtures = theirs.runpytest_subprocess("-p", "pytest_mdstream", "--fixtures")
    markers = theirs.runpytest_subprocess("-p", "pytest_mdstream", "--markers")

    fixtures.stdout.fnmatch_lines(["mdstream_emulator *", "*The four services on loopback*"])
    markers.stdout.fnmatch_lines(["@pytest.mark.mdstream(?steps, ??options): *"])


def test_installed_but_unused_it_imports_nothing(theirs: pytest.Pytester) -> None:
    """
    Whoever has mdstream for other reasons pays for one small file: neither our core nor what it needs is imported.
    """
    result = ran(
        theirs,
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


def test_importing_it_takes_no_time() -> None:
    """
    Beside pytest itself it brings no module at all.
    """
    script = "import sys, pytest; had = set(sys.modules); import pytest_mdstream; print(sorted(set(sys.modules) - had))"
    words = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )

    assert "['pytest_mdstream']" == words.stdout.strip()


def test_pytest_finds_it_where_it_is_installed(theirs: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    By the entry point of the distribution, here of one that has nothing else.
    """
    info = theirs.mkdir("installed") / "mdstream_elsewhere-1.dist-info"
    info.mkdir()
    points = "".join(f"{name} = {platform_case}\n" for name, platform_case in ENTRY_POINTS["pytest11"].items())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mdstream-elsewhere\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(info.parent), os.environ["PYTHONPATH"]]))
    theirs.makepyfile("def test_it(mdstream_emulator): assert mdstream_emulator.endpoint")
    result = theirs.runpytest_subprocess("--strict-markers", "-p", "no:asyncio", "-p", "no:socket")

    result.assert_outcomes(passed=1)
    assert re.search(r"plugins:.*mdstream-elsewhere-1", result.stdout.str())
