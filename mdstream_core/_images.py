"""Images as data URIs."""

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import overload

#: An image: a data URI, its bytes, a buffer, or the path of its file.
Image = str | bytes | BytesIO | Path

#: Media types by the first bytes of a file. WebP is a RIFF file, as WAV is: its kind follows the size.
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
_HEAD = 12

#: Cohere's limit for an image to embed (changelog "Embed v3.0 Models are now Multimodal": PNG, JPEG, WebP, GIF, 5 MB).
MAX_IMAGE_BYTES = 5 * 1024 * 1024


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
    media = mime_type or _find_media_type(data[:_HEAD]) or fallback or _media_type(data[:_HEAD])
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


class ImageURIs(Sequence[str]):
    """Data URIs of images, each encoded when it is read, so that a long list of files needs little memory.

    Args:
        images: Data URIs, bytes, buffers, or paths of files.
        mime_type: Media type of images that are no data URIs; by default it is detected from the first bytes.
        max_bytes: Maximum size of an image in bytes.

    Raises:
        ValueError: An image is larger than `max_bytes`, empty, a URL, or of an unknown format; the error has its index.
        OSError: A file cannot be read.

    Example:
        >>> ImageURIs([b"\\x89PNG"])[0]
        'data:image/png;base64,iVBORw=='
    """

    def __init__(self, images: Sequence[Image], mime_type: str | None = None, max_bytes: int = MAX_IMAGE_BYTES) -> None:
        self._images = images
        self._mime_type = mime_type
        #: Size of each data URI in bytes.
        self.sizes = [self._check(index, image, max_bytes) for index, image in enumerate(images)]

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        """Return the data URI of one image, or of several."""
        return (
            [self._encode(image) for image in self._images[at]]
            if isinstance(at, slice)
            else self._encode(self._images[at])
        )

    def _encode(self, image: Image) -> str:
        return data_uri(image.getvalue() if isinstance(image, BytesIO) else image, self._mime_type)

    def _check(self, index: int, image: Image, max_bytes: int) -> int:
        """Return the size of an image's data URI. Raises an error if it cannot be sent."""
        if isinstance(image, str) and image.startswith(("http://", "https://")):
            raise ValueError(f"image {index} is a URL (hint: download it: the service accepts the data of images only)")
        size, head = _size_and_head(image)
        if not 0 < size <= max_bytes:
            hint = "make it smaller, or raise max_image_bytes if the model accepts it" if size else "the image is empty"
            raise ValueError(f"image {index} has {size} bytes, {max_bytes} are the maximum (hint: {hint})")
        if head and not self._mime_type:
            _media_type(head, index)
        return len(image) if isinstance(image, str) and not head else -(-size // 3) * 4 + len("data:image/jpeg;base64,")


def _size_and_head(image: Image) -> tuple[int, bytes]:
    """Return the size of an image, and its first bytes; of a data URI no bytes."""
    match image:
        case str() if image.startswith("data:"):
            return len(image.partition(",")[2]) * 3 // 4, b""
        case bytes():
            return len(image), image[:_HEAD]
        case BytesIO():
            return len(image.getbuffer()), bytes(image.getbuffer()[:_HEAD])
        case str() | Path():
            with Path(image).open("rb") as file:
                return Path(image).stat().st_size, file.read(_HEAD)
    raise TypeError(f"an image is a {type(image).__name__} (hint: pass a data URI, bytes, a BytesIO or a path)")


def _media_type(head: bytes, index: int | None = None) -> str:
    """Return the media type by the first bytes of a file."""
    media = _find_media_type(head)
    if media is None:
        name = "image" if index is None else f"image {index}"
        raise ValueError(
            f"{name} has an unknown format (hint: pass PNG, JPEG, GIF or WebP, as bytes, file or data URI)"
        )
    return media


def _find_media_type(head: bytes) -> str | None:
    media = next((media for start, media in _MEDIA_TYPES.items() if head.startswith(start)), None)
    return None if media == "image/webp" and head[8:] != b"WEBP" else media
