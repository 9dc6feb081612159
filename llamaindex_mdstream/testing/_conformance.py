"""Base class of the suites: an emulator for each test, and rules that depend on features of the package."""

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
    """Base class of a suite.

    Attributes:
        service: The emulated service that requests are sent to: a key of `SERVICES`.
        emulator_options: Arguments of the `Emulator`, such as `{"api_keys": ["s3cret"]}` or the models to serve.
        credentials: Constructor arguments that are secret, such as `{"api_key": "s3cret"}`. They must not appear in
            `to_dict` or `repr`.
        environment: Environment variables from which a pickled model reads its credentials in another process.
    """

    service: str = "openai"
    emulator_options: dict[str, Any] = {}  # subclasses replace it
    credentials: dict[str, Any] = {}
    environment: dict[str, str] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize the argument `ending` with the ways in which a stream of the service can fail."""
        if "ending" in metafunc.fixturenames:
            metafunc.parametrize(
                "ending", self.service_under_test.endings.values(), ids=self.service_under_test.endings
            )

    @pytest.fixture
    def emulator(self) -> Iterator[Emulator]:
        """An emulator for this test."""
        with Emulator(**self.emulator_options) as emulator:
            yield emulator

    @property
    def service_under_test(self) -> Service:
        """The service that requests are sent to."""
        return SERVICES[self.service]

    def find_secrets(self, *forms: object) -> list[str]:
        """Return the names of the credentials that occur in one of these values. Only text credentials are compared."""
        secrets = {name: value for name, value in self.credentials.items() if isinstance(value, str)}
        if not secrets:
            pytest.skip(f"{type(self).__name__}.credentials contains no text")
        return [name for name, value in secrets.items() if value in " ".join(map(str, forms))]

    @contextmanager
    def other_process(self) -> Iterator[None]:
        """Simulate another process that has the credentials in its environment."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield

    def require(self, *names: str) -> None:
        """Skip the test if one of these attributes is false."""
        for name in names:
            if not getattr(self, name):
                pytest.skip(f"{type(self).__name__}.{name} is false")


def requires(*names: str) -> Callable[[Callable[Concatenate[S, P], None]], Callable[Concatenate[S, P], None]]:
    """Skip a rule if one of these attributes is false."""

    def decorate(rule: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
        @functools.wraps(rule)
        def checked(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
            self.require(*names)
            rule(self, *args, **kwargs)

        return checked

    return decorate


class CapturedError:
    """Context manager that captures an exception of any class as `error`, or `None`."""

    error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Capture errors. Skipped and failed tests and Ctrl-C propagate."""
        self.error = error if isinstance(error, Exception) and not isinstance(error, AssertionError) else None
        return self.error is not None
