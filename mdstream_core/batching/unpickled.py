"""What the unpickled columns of a process share: a model with its connections, and a limit of concurrent requests.

Spark and Dask unpickle a column for each task. Without sharing, each task would open connections, fetch tokens, detect
the API format and find the server's limits again.
"""

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import Any, TypeVar

from mdstream_core import _fork

T = TypeVar("T")

#: Maximum number of shared objects. Those that were not used for the longest time are forgotten first.
MAX_OBJECTS = 32


class SharedObjects:
    """Objects of this process by a key.

    Example:
        >>> shared = SharedObjects()
        >>> first = shared.share("limit of model 1", [16])
        >>> shared.share("limit of model 1", [16]) is first
        True
    """

    def __init__(self) -> None:
        self._objects: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = _fork.Lock()

    def share(self, key: Hashable, value: T) -> T:
        """Return the object of this key, which is `value` if there is none. With the key `None` nothing is shared."""
        if key is None:
            return value
        with self._lock:
            shared: T = self._objects.setdefault(key, value)
            self._objects.move_to_end(key)
            while len(self._objects) > MAX_OBJECTS:
                self._objects.popitem(last=False)
        return shared


def compute_digest(model: Any) -> bytes | None:
    """Compute a digest of everything that a pickle of the model holds; `None` if pickle cannot serialize it.

    cloudpickle, which Spark, Dask and Ray use, serializes some objects that pickle does not: a lambda as a hook.
    """
    with suppress(pickle.PicklingError, TypeError, AttributeError):
        return hashlib.sha256(pickle.dumps(model)).digest()
    return None


shared_objects = SharedObjects()
