"""A pytest plugin: the fixture `mdstream_emulator`, an emulated cloud for each test.

It stands in a package of its own, because pytest imports it in every run of whoever has mdstream installed: it imports
nothing but pytest until a test asks for a cloud.

    def test_a_broken_stream(mdstream_emulator):
        mdstream_emulator.script(Fault("trailer", after=3))
        chat = ChatOCIModelDeployment(endpoint=mdstream_emulator.endpoint, auth_type="none")
        …
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mdstream_core.emulator import Emulator

__all__ = ["mdstream_emulator"]

_MARKER = (
    "mdstream(*steps, **options): what happens to the requests of this test, one step (a Fault, several in a tuple, or "
    "None) after the other, and the options of the Emulator that `mdstream_emulator` is"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, also to `--strict-markers`."""
    config.addinivalue_line("markers", _MARKER)


class EmulatorPool:
    """The emulators of a session, one for each set of options that a test asks for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started: list[tuple[dict[str, Any], Emulator]] = []

    def get(self, options: dict[str, Any]) -> "Emulator":
        """The emulator with these options, started when first asked for."""
        from mdstream_core.emulator import Emulator  # noqa: PLC0415  # an unused plugin costs nothing

        for given, emulator in self._started:
            if given == options:
                return emulator
        emulator = self._stack.enter_context(Emulator(**options))
        self._started.append((options, emulator))
        return emulator

    def close(self) -> None:
        """Stop them."""
        self._stack.close()


@pytest.fixture(scope="session")
def _mdstream_emulators() -> Iterator[EmulatorPool]:
    clouds = EmulatorPool()
    yield clouds
    clouds.close()


@pytest.fixture
def mdstream_emulator(request: pytest.FixtureRequest, _mdstream_emulators: EmulatorPool) -> "Iterator[Emulator]":
    """The four services on loopback, without memories of other tests.

    Tests share an emulator; each finds no requests and no script in it but its own. `@pytest.mark.mdstream(…)` scripts
    faults by its arguments and gives the emulator options by its keywords; a test with other options gets another
    emulator. Of several markers, the options of the nearest count, and steps of the farthest come first.

    Yields:
        A `mdstream_core.emulator.Emulator`.
    """
    markers = [*request.node.iter_markers("mdstream")][::-1]
    options = {name: value for marker in markers for name, value in marker.kwargs.items()}
    emulator = _mdstream_emulators.get(options)
    emulator.reset()
    emulator.script(*(step for marker in markers for step in marker.args))
    yield emulator
    emulator.reset()
