"""Run the tests without the user's credentials: the home directory is empty, and environment variables are removed."""

import atexit
import os
from tempfile import TemporaryDirectory

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
