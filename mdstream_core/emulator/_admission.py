"""Who may come in: signatures, session tokens, bearer keys."""

from collections.abc import Callable, Iterable, Mapping
from time import time

from mdstream_core.emulator._received import Received
from mdstream_core.emulator._signatures import Signatures, public_key
from mdstream_core.emulator._tokens import Tokens

Keys = str | bytes | Mapping[str, str | bytes]


class Admission:
    """Judges credentials; lets everybody in where neither keys nor bearer keys are given."""

    def __init__(
        self, signers: Keys | None, bearers: Iterable[str], tokens: Tokens, now: Callable[[], float] = time
    ) -> None:
        named = signers if isinstance(signers, Mapping) else {} if signers is None else {"": signers}
        keys = {id: public_key(pem) for id, pem in named.items()}
        self._bearers = frozenset(bearers)
        self._open = signers is None and not self._bearers
        self._signatures = Signatures(keys, tokens.key, now)

    def problem(self, received: Received) -> str | None:
        """What is wrong with the credentials, `None` if nothing."""
        scheme, _, key = received.headers.get("authorization", "").partition(" ")
        if self._open or (scheme.lower() == "bearer" and key in self._bearers):
            return None
        return self._signatures.problem(received)
