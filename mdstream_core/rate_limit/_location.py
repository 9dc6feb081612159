"""`StoreLocation`: what the argument `store` of a rate limit means."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit
from uuid import uuid4

from mdstream_core._redaction import SecretText, redact_url
from mdstream_core.rate_limit._file_store import IS_SUPPORTED, FileStore
from mdstream_core.rate_limit._redis_store import RedisStore, require_redis
from mdstream_core.rate_limit._store import MemoryStore, Store, StoreError

_MEMORY = "memory"
_FILE = "file"
_REDIS = frozenset({"redis", "rediss", "unix"})

#: The environment variable of the password of Redis, for URLs without one, such as those of unpickled limits.
_PASSWORD_VARIABLE = "MDSTREAM_REDIS_PASSWORD"  # noqa: S105  # a name

_HINT = "use memory, file:///DIRECTORY, or redis://HOST:PORT/DB"


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """Where the state of a limit is."""

    url: str
    """The argument `store`, without the password."""
    kind: str
    """`memory`, `file` or `redis`."""
    password: SecretText | None = None
    """The password of Redis, if the URL has one."""

    @classmethod
    def parse(cls, store: str) -> Self:
        """Parse the argument `store`. Raises `ValueError`, and `MissingExtra` if a package is not installed."""
        if store == _MEMORY:
            return cls(store, _MEMORY)
        scheme = urlsplit(store).scheme if isinstance(store, str) else ""
        if scheme == _FILE:
            return cls(_check_file_url(store), _FILE)
        if scheme in _REDIS:
            require_redis()
            return cls(*_split_password(store))
        shown = redact_url(store) if isinstance(store, str) else store
        raise ValueError(f"store={shown!r} is unknown (hint: {_HINT})")

    def create_key(self) -> str:
        """Return the key of a limit without one: limits in memory are separate, the others are shared."""
        return uuid4().hex if self.kind == _MEMORY else "default"

    def check(self, key: str) -> None:
        """Raise `ValueError` if the directory cannot be used. Redis may start later, so it is not contacted."""
        if self.kind != _FILE:
            return
        store = FileStore(self._directory, key)
        try:
            store.open()
        except StoreError as error:
            raise ValueError(
                f"store={self.url!r} cannot be used: {error} (hint: use a directory that can be written)"
            ) from error
        finally:
            store.close()

    def create_store(self, key: str) -> Store:
        """Create the store of a limit."""
        if self.kind == _MEMORY:
            return MemoryStore()
        if self.kind == _FILE:
            return FileStore(self._directory, key)
        return RedisStore(self._url_with_password, key)

    @property
    def _directory(self) -> Path:
        return Path(unquote(urlsplit(self.url).path))

    @property
    def _url_with_password(self) -> SecretText:
        password = self.password or os.environ.get(_PASSWORD_VARIABLE)
        parts = urlsplit(self.url)
        if not password or parts.password:
            return SecretText(self.url)
        user, _, address = parts.netloc.rpartition("@")
        return SecretText(urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{address}")))


def _check_file_url(url: str) -> str:
    parts = urlsplit(url)
    if not IS_SUPPORTED:
        raise ValueError(f"store={url!r} needs flock, which this system does not have (hint: use redis://HOST:PORT/DB)")
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ValueError(f"store={url!r} must have an absolute path (hint: file:///var/tmp/limits has three slashes)")
    return url


def _split_password(url: str) -> tuple[str, str, SecretText | None]:
    """Split the URL of a Redis server into the URL without its password, the kind of the store, and the password."""
    parts = urlsplit(url)
    if "password" in parse_qs(parts.query):
        raise ValueError(
            f"store={redact_url(url)!r}: the password is in the query (hint: redis://:PASSWORD@HOST:PORT/DB)"
        )
    if parts.password is None:
        return url, "redis", None
    userinfo, _, address = parts.netloc.rpartition("@")
    user = userinfo.partition(":")[0]
    bare = urlunsplit(parts._replace(netloc=f"{user}@{address}" if user else address))
    return bare, "redis", SecretText(unquote(parts.password))
