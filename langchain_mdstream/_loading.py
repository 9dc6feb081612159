"""What `langchain_core.load.load` may build again.

Core allows the classes of its own table, and has no other way in for packages outside its repository: entered here,
`load(dumpd(model), valid_namespaces=["langchain_mdstream"], allowed_objects="all")` works as for core's partners.
"""

from langchain_core.load.load import ALL_SERIALIZABLE_MAPPINGS
from langchain_core.load.serializable import Serializable


def loadable(*classes: type[Serializable]) -> None:
    """Enter classes into core's table of what can be loaded."""
    for cls in classes:
        path = tuple(cls.lc_id())
        ALL_SERIALIZABLE_MAPPINGS[path] = path
