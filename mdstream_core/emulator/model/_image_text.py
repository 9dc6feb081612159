"""What the built-in model sees in an image: the text of a PNG file, otherwise a digest of its bytes.

So that a test can search images by text, its images say what they show, in the text chunks of PNG (`tEXt`, RFC 2083
section 4.2.3.1), such as `Description`: Pillow writes them with `PngInfo`.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100
_MAX_TEXT_BYTES = 4096

_DATA_URI = re.compile(r"data:(image/(?:png|jpeg|webp|gif));base64,", re.ASCII)


def decode_image(uri: str) -> bytes:
    """Return the bytes of an image in a data URI. Raises `ValueError` if it is none."""
    head = _DATA_URI.match(uri)
    if head is None:
        raise ValueError("it must be a data URI of a PNG, JPEG, WebP or GIF image in base64")
    try:
        data = base64.b64decode(uri[head.end() :], validate=True)
    except binascii.Error as error:
        raise ValueError(f"its base64 is invalid: {error}") from error
    if not data:
        raise ValueError("it is empty")
    return data


def read_image_text(data: bytes) -> str:
    """Return the texts of a PNG image, otherwise a digest of the bytes, which is equal for equal images."""
    texts = [text for text in _png_texts(data) if text]
    return " ".join(texts) or f"image {hashlib.blake2b(data, digest_size=16).hexdigest()}"


def _png_texts(data: bytes) -> Iterator[str]:
    at = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            return
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if kind == b"tEXt":
            yield data[at + 8 : at + 8 + min(length, _MAX_TEXT_BYTES)].partition(b"\0")[2].decode("latin-1")
        at += 12 + length
