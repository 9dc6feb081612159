"""What all suites have: an emulator for each test, and rules that are skipped for what a package does not offer."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import pytest

from llamaindex_mdstream.testing._services import SERVICES, Service
from mdstream_core.emulator import Emulator

P = ParamSpec("P")
S = TypeVar("S", bound="Conformance")


class Conformance:
    """The beginning of a suite.

    Attributes:
        service: Which of the emulator's services is asked: a key of `SERVICES`.
        emulator_options: Arguments of the `Emulator`: who is let in, which models there are.
        credentials: Names and values of the constructor's arguments that are secret; `to_dict` must not show them.
        environment: Variables in which another process finds them, where a pickle has none.
    """

    service: str = "openai"
    emulator_options: dict[str, Any] = {}  # a subclass puts another one in its place
    credentials: dict[str, Any] = {}
    environment: dict[str, str] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Whatever can end a stream of this service badly is an `ending`."""
        if "ending" in metafunc.fixturenames:
            metafunc.parametrize(
                "ending", self.service_under_test.endings.values(), ids=self.service_under_test.endings
            )

    @pytest.fixture
    def emulator(self) -> Iterator[Emulator]:
        """A server of one's own."""
        with Emulator(**self.emulator_options) as emulator:
            yield emulator

    @property
    def service_under_test(self) -> Service:
        """The service that is asked."""
        return SERVICES[self.service]

    def find_secrets(self, *forms: object) -> list[str]:
        """Which credentials stand in one of these; objects that sign are no text."""
        secrets = {name: value for name, value in self.credentials.items() if isinstance(value, str)}
        if not secrets:
            pytest.skip(f"{type(self).__name__}.credentials has no text")
        return [name for name, value in secrets.items() if value in " ".join(map(str, forms))]

    @contextmanager
    def other_process(self) -> Iterator[None]:
        """As in another process that has the credentials in its environment."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield

    def require(self, *names: str) -> None:
        """Skip the test if the package does not offer one of these."""
        for name in names:
            if not getattr(self, name):
                pytest.skip(f"{type(self).__name__}.{name} is false")


def requires(*names: str) -> Callable[[Callable[Concatenate[S, P], None]], Callable[Concatenate[S, P], None]]:
    """Skip a rule if the package does not offer one of these."""

    def decorate(rule: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
        @functools.wraps(rule)
        def checked(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
            self.require(*names)
            rule(self, *args, **kwargs)

        return checked

    return decorate


class CapturedError:
    """How a block ended: its `error`, whatever a package raises, or `None`."""

    error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Errors are kept; a skipped or failed test, and Ctrl-C, go on."""
        self.error = error if isinstance(error, Exception) and not isinstance(error, AssertionError) else None
        return self.error is not None
