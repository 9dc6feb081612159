"""A pytest plugin: the fixture `mdstream_cloud`, an emulated cloud for each test.

It stands in a package of its own, because pytest imports it in every run of whoever has mdstream installed: it imports
nothing but pytest until a test asks for a cloud.

    def test_a_broken_stream(mdstream_cloud):
        mdstream_cloud.script(Fault("trailer", after=3))
        chat = ChatOCIModelDeployment(endpoint=mdstream_cloud.endpoint, auth_type="none")
        …
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mdstream_core.emulator import Emulator

__all__ = ["mdstream_cloud"]

_MARKER = (
    "mdstream(*steps, **options): what happens to the requests of this test, one step (a Fault, several in a tuple, or "
    "None) after the other, and the options of the Emulator that `mdstream_cloud` is"
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

        for given, cloud in self._started:
            if given == options:
                return cloud
        cloud = self._stack.enter_context(Emulator(**options))
        self._started.append((options, cloud))
        return cloud

    def close(self) -> None:
        """Stop them."""
        self._stack.close()


@pytest.fixture(scope="session")
def _mdstream_clouds() -> Iterator[EmulatorPool]:
    clouds = EmulatorPool()
    yield clouds
    clouds.close()


@pytest.fixture
def mdstream_cloud(request: pytest.FixtureRequest, _mdstream_clouds: EmulatorPool) -> "Iterator[Emulator]":
    """The four services on loopback, without memories of other tests.

    Tests share an emulator; each finds no requests and no script in it but its own. `@pytest.mark.mdstream(…)` scripts
    faults by its arguments and gives the emulator options by its keywords; a test with other options gets another
    emulator. Of several markers, the options of the nearest count, and steps of the farthest come first.

    Yields:
        A `mdstream_core.emulator.Emulator`.
    """
    markers = [*request.node.iter_markers("mdstream")][::-1]
    options = {name: value for marker in markers for name, value in marker.kwargs.items()}
    cloud = _mdstream_clouds.get(options)
    cloud.reset()
    cloud.script(*(step for marker in markers for step in marker.args))
    yield cloud
    cloud.reset()
