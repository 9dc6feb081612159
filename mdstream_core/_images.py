"""Images as data URIs."""

import base64
from pathlib import Path

#: How pictures begin.
_MEDIA = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def data_uri(image: str | bytes | Path, mime_type: str | None = None) -> str:
    """An image as services take it.

    Args:
        image: A data URI, which stays as it is; the image's bytes; or its file.
        mime_type: Such as `image/png`; by default what the first bytes say.

    Raises:
        ValueError: It is no image that is known.
        OSError: The file cannot be read.

    Example:
        >>> data_uri(b"\\x89PNG")
        'data:image/png;base64,iVBORw=='
    """
    if isinstance(image, str) and image.startswith("data:"):
        return image
    data = image if isinstance(image, bytes) else Path(image).read_bytes()
    media = mime_type or next((media for begin, media in _MEDIA.items() if data.startswith(begin)), None)
    if media is None:
        raise ValueError("image is none that is known: give a PNG, JPEG, GIF or WebP, as bytes, file or data URI")
    return f"data:{media};base64,{base64.b64encode(data).decode()}"
