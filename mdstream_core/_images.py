"""Images as data URIs."""

import base64
from pathlib import Path

#: Media types by the first bytes of a file.
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def data_uri(image: str | bytes | Path, mime_type: str | None = None, *, fallback: str | None = None) -> str:
    """Encode an image as a data URI.

    Args:
        image: The bytes of an image, the path of a file, or a data URI, which is returned unchanged.
        mime_type: Media type, such as `image/png`; by default it is detected from the first bytes.
        fallback: Media type of an image whose format is unknown; by default that is an error.

    Raises:
        ValueError: The format of the image is unknown.
        OSError: The file cannot be read.

    Example:
        >>> data_uri(b"\\x89PNG")
        'data:image/png;base64,iVBORw=='
    """
    if isinstance(image, str) and image.startswith("data:"):
        return image
    data = image if isinstance(image, bytes) else Path(image).read_bytes()
    detected = next((media for start, media in _MEDIA_TYPES.items() if data.startswith(start)), fallback)
    media = mime_type or detected
    if media is None:
        raise ValueError("image has an unknown format (hint: pass PNG, JPEG, GIF or WebP, as bytes, file or data URI)")
    return f"data:{media};base64,{base64.b64encode(data).decode()}"
