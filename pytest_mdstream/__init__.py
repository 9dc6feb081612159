"""A pytest plugin with the fixture `mdstream_emulator`: the four services, emulated on loopback.

    def test_a_failed_stream_raises(mdstream_emulator):
        mdstream_emulator.script(Fault("trailer", after=3))
        chat = ChatOCIModelDeployment(endpoint=mdstream_emulator.endpoint, auth_type="none")
        …

    @pytest.mark.mdstream(Fault("refuse", "lb_bandwidth"), None, models=["odsc-llm"])   # the same by a marker
    def test_the_marker_scripts_faults(mdstream_emulator): …

    @pytest.mark.mdstream_replay("failure.jsonl")   # play a recording back
    def test_a_recorded_failure(mdstream_emulator): …

The plugin is a package of its own, because pytest imports it in every run where mdstream is installed: it imports
nothing but pytest until a test requests the fixture.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mdstream_core.emulator import Emulator

__all__ = ["mdstream_emulator"]

_MARKER = (
    "mdstream(*steps, **options): what happens to the requests of this test, one step for each request (a Fault, a "
    "tuple of several, or None for no fault), and parameters of the Emulator behind `mdstream_emulator`"
)

_REPLAY_MARKER = (
    "mdstream_replay(path, timing=False): the recording that `mdstream_emulator` plays back in this test; a relative "
    "path starts at the test's folder"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, for `--strict-markers` and `pytest --markers`."""
    config.addinivalue_line("markers", _MARKER)
    config.addinivalue_line("markers", _REPLAY_MARKER)


class EmulatorPool:
    """The running emulators of a session, one for each set of options."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started: list[tuple[dict[str, Any], Emulator]] = []

    def get(self, options: dict[str, Any]) -> "Emulator":
        """Return the emulator with these options; start it if it does not run yet."""
        from mdstream_core.emulator import Emulator  # noqa: PLC0415  # the import is slow, and most runs do not need it

        for emulator_options, emulator in self._started:
            if emulator_options == options:
                return emulator
        emulator = self._stack.enter_context(Emulator(**options))
        self._started.append((options, emulator))
        return emulator

    def close(self) -> None:
        """Stop all emulators."""
        self._stack.close()


@pytest.fixture(scope="session")
def _mdstream_emulators() -> Iterator[EmulatorPool]:
    pool = EmulatorPool()
    yield pool
    pool.close()


def _replay_options(request: pytest.FixtureRequest, path: str, *, timing: bool = False) -> dict[str, Any]:
    """Return the options of the emulator for the arguments of `mdstream_replay`."""
    return {"replay": request.path.parent / path, "replay_timing": timing}


@pytest.fixture
def mdstream_emulator(request: pytest.FixtureRequest, _mdstream_emulators: EmulatorPool) -> "Iterator[Emulator]":
    """The four services on loopback, with no recorded requests and no scripted faults of other tests.

    `@pytest.mark.mdstream(*steps, **options)` scripts faults with its arguments and sets parameters of `Emulator` with
    its keywords. Tests with the same options share one emulator, which runs until the end of the session. If several
    markers apply, the options of the nearest one win, and the steps of the farthest one come first.

    `@pytest.mark.mdstream_replay("failure.jsonl")` plays a recording back; `timing=True` repeats its pauses.

    Yields:
        An `mdstream_core.emulator.Emulator`.
    """
    markers = [*request.node.iter_markers("mdstream")][::-1]
    options = {name: value for marker in markers for name, value in marker.kwargs.items()}
    if (replay := request.node.get_closest_marker("mdstream_replay")) is not None:
        options |= _replay_options(request, *replay.args, **replay.kwargs)
    emulator = _mdstream_emulators.get(options)
    emulator.reset()
    emulator.script(*(step for marker in markers for step in marker.args))
    yield emulator
    emulator.reset()
