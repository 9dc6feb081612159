"""Embeddings of images with one fault each, and a correct one, for the tests of the conformance suite."""

import asyncio
import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from _llamaindex_faulty import MinimalEmbedding
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding

Vectors = list[list[float]]

#: One context for all clients, because each client would load the certificates.
_TLS = httpx.create_ssl_context()


class MinimalImageEmbedding(MinimalEmbedding, MultiModalEmbedding):
    """A minimal correct embedding of images, each in a request of its own."""

    @classmethod
    def class_name(cls) -> str:
        """Name of the class in serialized models."""
        return "plain_images"

    def _data(self, image: Any) -> bytes:
        if isinstance(image, BytesIO):
            return image.getvalue()
        if str(image).startswith("data:"):
            return base64.b64decode(str(image).partition(",")[2])
        return Path(image).read_bytes()

    def _checked(self, images: list[Any]) -> list[bytes]:
        found = [self._data(image) for image in images]
        if not all(data.startswith(b"\x89PNG") for data in found):
            raise ValueError("not an image")
        return found

    def _image_request(self, data: bytes) -> dict[str, Any]:
        url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}]
        return {**self._sent([]), "json": {"model": "m", "messages": [{"role": "user", "content": content}]}}

    def _send(self, data: bytes) -> list[float]:
        with httpx.Client(verify=_TLS) as client:
            for left in reversed(range(self.max_retries + 1)):
                response = client.post(**self._image_request(data))
                if response.status_code != 503 or not left:
                    break
        return self._read([""], response)[0]

    async def _asend(self, data: bytes) -> list[float]:
        async with httpx.AsyncClient(verify=_TLS) as client:
            for left in reversed(range(self.max_retries + 1)):
                response = await client.post(**self._image_request(data))
                if response.status_code != 503 or not left:
                    break
        return self._read([""], response)[0]

    def _get_image_embeddings(self, img_file_paths: list[Any]) -> Vectors:
        return [self._send(data) for data in self._checked(img_file_paths)]

    async def _aget_image_embeddings(self, img_file_paths: list[Any]) -> Vectors:
        return [await self._asend(data) for data in self._checked(img_file_paths)]

    def _get_image_embedding(self, img_file_path: Any) -> list[float]:
        return self._get_image_embeddings([img_file_path])[0]

    async def _aget_image_embedding(self, img_file_path: Any) -> list[float]:
        return (await self._aget_image_embeddings([img_file_path]))[0]


class TupleVectors(MinimalImageEmbedding):
    """Vectors of images are tuples."""

    def _get_image_embedding(self, img_file_path: Any) -> Any:
        return tuple(super()._get_image_embedding(img_file_path))


class ShortVectors(MinimalImageEmbedding):
    """Vectors of images are shorter than those of texts."""

    def _get_image_embedding(self, img_file_path: Any) -> list[float]:
        return super()._get_image_embedding(img_file_path)[:-1]


class OtherAsync(MinimalImageEmbedding):
    """The async method returns another vector."""

    async def _aget_image_embedding(self, img_file_path: Any) -> list[float]:
        return [-number for number in await super()._aget_image_embedding(img_file_path)]


class SortsImages(MinimalImageEmbedding):
    """Vectors have the order of the sorted images."""

    def _checked(self, images: list[Any]) -> list[bytes]:
        return sorted(super()._checked(images), reverse=True)


class DropsRepeats(MinimalImageEmbedding):
    """An image that is repeated has one vector."""

    def _checked(self, images: list[Any]) -> list[bytes]:
        return list(dict.fromkeys(super()._checked(images)))


class FilesOnly(MinimalImageEmbedding):
    """A data URI is read as the path of a file."""

    def _data(self, image: Any) -> bytes:
        return image.getvalue() if isinstance(image, BytesIO) else Path(image).read_bytes()


class ReadsBuffers(MinimalImageEmbedding):
    """A buffer is read from its position."""

    def _data(self, image: Any) -> bytes:
        return image.read() if isinstance(image, BytesIO) else super()._data(image)


class Recodes(MinimalImageEmbedding):
    """The image is changed before it is sent."""

    def _image_request(self, data: bytes) -> dict[str, Any]:
        return super()._image_request(data + b"\0")


class OtherSpace(MinimalImageEmbedding):
    """Vectors of images are not comparable with those of texts."""

    def _send(self, data: bytes) -> list[float]:
        return super()._send(data)[::-1]


class ChecksNothing(MinimalImageEmbedding):
    """An image is checked when its request is sent, by the service."""

    def _checked(self, images: list[Any]) -> list[bytes]:
        return [self._data(image) for image in images]


class ChecksLate(MinimalImageEmbedding):
    """Each image is checked after the requests of those before it."""

    def _get_image_embeddings(self, img_file_paths: list[Any]) -> Vectors:
        return [self._send(self._checked([image])[0]) for image in img_file_paths]


class SendsNothing(MinimalImageEmbedding):
    """An empty list is a request."""

    def get_image_embedding_batch(self, img_file_paths: list[Any], show_progress: bool = False) -> Vectors:
        """Embed images."""
        if not img_file_paths:
            self._get_text_embeddings([])
        return super().get_image_embedding_batch(img_file_paths, show_progress)


class FirstVector(MinimalImageEmbedding):
    """The first vector of a response is taken, however many there are; a zero vector if there is none."""

    def _read(self, texts: list[str], response: httpx.Response) -> Vectors:
        found = response.raise_for_status().json()["data"]
        return [found[0]["embedding"] if found else [0.0] * 256]


class ZeroVectors(MinimalImageEmbedding):
    """A response that cannot be read is a vector of zeros."""

    def _send(self, data: bytes) -> list[float]:
        try:
            return super()._send(data)
        except (ValueError, httpx.TransportError):
            return [0.0] * 256


class SkipsFailures(MinimalImageEmbedding):
    """An image whose request fails has no vector."""

    def _get_image_embeddings(self, img_file_paths: list[Any]) -> Vectors:
        vectors = []
        for data in self._checked(img_file_paths):
            try:
                vectors.append(self._send(data))
            except httpx.HTTPStatusError:
                continue
        return vectors


class NeverRetries(MinimalImageEmbedding):
    """`max_retries` has no effect."""

    def _send(self, data: bytes) -> list[float]:
        with httpx.Client(verify=_TLS) as client:
            return self._read([""], client.post(**self._image_request(data)))[0]


class Silent(MinimalImageEmbedding):
    """Callbacks get no event."""

    def get_image_embedding_batch(self, img_file_paths: list[Any], show_progress: bool = False) -> Vectors:
        """Embed images."""
        return self._get_image_embeddings(img_file_paths)


class BlocksImages(MinimalImageEmbedding):
    """The async methods send synchronous requests."""

    async def _asend(self, data: bytes) -> list[float]:
        await asyncio.sleep(0)
        return self._send(data)
