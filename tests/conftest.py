"""Run the tests without the user's credentials: the home directory is empty, and environment variables are removed."""

import atexit
import os
import sys
from tempfile import TemporaryDirectory

import pytest

_CREDENTIAL_PREFIXES = ("AWS_", "OCI_", "MDSTREAM_", "MODELARTS_", "HUAWEICLOUD_", "MAAS_")


def pytest_configure() -> None:
    """Set the environment before tests are collected."""
    home = TemporaryDirectory(prefix="mdstream-home-", ignore_cleanup_errors=True)
    atexit.register(home.cleanup)  # runs after other exit handlers that write there, such as IPython's
    os.environ.update({"HOME": home.name, "USERPROFILE": home.name, "AWS_EC2_METADATA_DISABLED": "true"})
    for name in [
        name for name in os.environ if name.startswith(_CREDENTIAL_PREFIXES) and name != "AWS_EC2_METADATA_DISABLED"
    ]:
        del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail a test that leaves a handler in LlamaIndex's global callback manager, which all others would share."""
    settings = getattr(sys.modules.get("llama_index.core.settings"), "Settings", None)
    manager = getattr(settings, "_callback_manager", None)
    if manager is not None and manager.handlers:
        manager.handlers.clear()
        pytest.fail(f"{item.nodeid} has left a callback handler for all later tests")
