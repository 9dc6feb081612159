"""`encrypted_content` of a reasoning item: opaque for clients, verified when it is sent back."""

import base64
import hashlib
import hmac
from typing import Any

_KEY = b"the emulator's key, which protects nothing"
_PREFIX = "gAAAA"


def encrypt(reasoning: str) -> str:
    """Encode a reasoning text, with a checksum that `is_genuine` verifies."""
    data = reasoning.encode("utf-8", "surrogatepass")
    return _PREFIX + base64.urlsafe_b64encode(hmac.digest(_KEY, data, hashlib.sha256) + data).decode()


def is_genuine(content: Any) -> bool:
    """Return whether a content was made by `encrypt` and is unchanged."""
    if not isinstance(content, str) or not content.startswith(_PREFIX):
        return False
    try:
        data = base64.urlsafe_b64decode(content.removeprefix(_PREFIX))
    except ValueError:
        return False
    return hmac.compare_digest(data[:32], hmac.digest(_KEY, data[32:], hashlib.sha256))
