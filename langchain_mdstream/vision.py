"""Images as content blocks, and which models of OCI Generative AI accept them, under langchain-oci's names."""

import mimetypes
from pathlib import Path
from typing import Any

from langchain_mdstream._profiles import known_profile
from mdstream_core import data_uri

#: Chat models of OCI Generative AI that accept images, as listed by langchain-oci 0.4.0. `is_vision_model` knows more.
VISION_MODELS = [
    "cohere.command-a-vision",
    "google.gemini-2.5-flash",
    "google.gemini-2.5-flash-lite",
    "google.gemini-2.5-pro",
    "meta.llama-3.2-11b-vision-instruct",
    "meta.llama-3.2-90b-vision-instruct",
    "meta.llama-4-maverick-17b-128e-instruct-fp8",
    "meta.llama-4-scout-17b-16e-instruct",
    "xai.grok-4",
    "xai.grok-4-1-fast-non-reasoning",
    "xai.grok-4-1-fast-reasoning",
    "xai.grok-4-fast-non-reasoning",
    "xai.grok-4-fast-reasoning",
]

#: Embedding models of OCI Generative AI that accept images, as listed by langchain-oci 0.4.0.
IMAGE_EMBEDDING_MODELS = ["cohere.embed-v4.0", "cohere.embed-multilingual-image-v3.0"]

_PNG = "image/png"


def to_data_uri(image: str | bytes | Path, mime_type: str | None = None) -> str:
    """Encode an image as a data URI.

    Args:
        image: The bytes of an image, the path of a file, or a data URI, which is returned unchanged.
        mime_type: Media type of bytes. By default it is detected from the first bytes, else it is `image/png`. That of
            a file is always detected, from its content or else from its name.

    Raises:
        OSError: The file cannot be read.

    Example:
        >>> to_data_uri(b"\\xff\\xd8\\xff")
        'data:image/jpeg;base64,/9j/'
    """
    if isinstance(image, bytes):
        return data_uri(image, mime_type, fallback=_PNG)
    return data_uri(image, fallback=mimetypes.guess_type(str(image))[0] or _PNG)


def load_image(file_path: str | Path) -> dict[str, Any]:
    """Read an image file and return it as a content block of a message.

    Args:
        file_path: The path of a PNG, JPEG, GIF or WebP file.

    Raises:
        OSError: The file cannot be read.

    Example:
        >>> message = HumanMessage(["What is this?", load_image("photo.jpg")])  # doctest: +SKIP
    """
    return _image_block(to_data_uri(file_path))


def encode_image(image_bytes: bytes, mime_type: str | None = None) -> dict[str, Any]:
    """Return the bytes of an image as a content block of a message.

    Args:
        image_bytes: The bytes of the image.
        mime_type: Media type, such as `image/jpeg`. By default it is detected, else it is `image/png`.

    Example:
        >>> encode_image(b"GIF8")
        {'type': 'image_url', 'image_url': {'url': 'data:image/gif;base64,R0lGOA=='}}
    """
    return _image_block(to_data_uri(image_bytes, mime_type))


def is_vision_model(model_id: str) -> bool:
    """Return whether a chat model of OCI Generative AI accepts images, by its name.

    Of an endpoint's OCID nothing is known, so that it returns `False`.

    Args:
        model_id: The model's name.

    Example:
        >>> is_vision_model("xai.grok-4"), is_vision_model("meta.llama-3.3-70b-instruct")
        (True, False)
    """
    return bool(known_profile("oci_genai", model_id).get("image_inputs"))


def _image_block(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}
