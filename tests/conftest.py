"""The tests find nobody's credentials on a machine: its home directory is an empty one."""

import atexit
import os
from tempfile import TemporaryDirectory

_OF_USERS = ("AWS_", "OCI_", "MDSTREAM_", "MODELARTS_", "HUAWEICLOUD_", "MAAS_")


def pytest_configure() -> None:
    """Before anything is collected."""
    home = TemporaryDirectory(prefix="mdstream-home-", ignore_cleanup_errors=True)
    atexit.register(home.cleanup)  # behind those who write there at their end, as IPython does
    os.environ.update({"HOME": home.name, "USERPROFILE": home.name, "AWS_EC2_METADATA_DISABLED": "true"})
    for name in [name for name in os.environ if name.startswith(_OF_USERS) and name != "AWS_EC2_METADATA_DISABLED"]:
        del os.environ[name]
