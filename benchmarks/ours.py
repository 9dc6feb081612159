"""Contenders of mdstream: the two framework packages, and the core alone."""
# ruff: noqa: PLC0415  (a benchmark imports only the package that it measures)

import gc
from typing import Any

from benchmarks.contenders import PROMPT, Contender
from benchmarks.source import Source

#: Python's are 700, 10 and 10: it looks at new objects after each 700 of them, and at all objects after each 70,000.
GC_THRESHOLDS = (50_000, 20, 100)

_KEY_ID = "ocid1.tenancy.oc1..b/ocid1.user.oc1..b/00:11"


def core(source: Source, pem: bytes | None) -> Contender:
    """`Client.stream` and `AsyncClient.stream`."""
    from mdstream_core import OCIModelDeployment, OpenAIChat, Service, TextDelta

    service = Service(OCIModelDeployment(_endpoint(source)), auth=_signer(pem))
    payload = {"model": "odsc-llm", "messages": [{"role": "user", "content": PROMPT}]}

    def call(*, stream: bool = True) -> Any:
        return service.call(OpenAIChat(), payload, stream=stream)

    return Contender(
        lambda: service.client.stream(call()),
        lambda: service.async_client.stream(call()),
        lambda event: event.text if isinstance(event, TextDelta) else "",
        lambda: service.client.complete(call(stream=False)),
        lambda: service.async_client.complete(call(stream=False)),
    )


def langchain(source: Source, pem: bytes | None) -> Contender:
    """`ChatOCIModelDeployment`."""
    from benchmarks.floors_langchain import contender
    from langchain_mdstream import ChatOCIModelDeployment

    return contender(ChatOCIModelDeployment(endpoint=_endpoint(source), **_auth(pem)))


def langchain_with_callbacks(source: Source, pem: bytes | None) -> Contender:
    """`ChatOCIModelDeployment` with a callback handler that does nothing, as programs have that trace their calls."""
    from langchain_core.callbacks import BaseCallbackHandler

    from benchmarks.floors_langchain import contender
    from langchain_mdstream import ChatOCIModelDeployment

    model = ChatOCIModelDeployment(endpoint=_endpoint(source), callbacks=[BaseCallbackHandler()], **_auth(pem))
    return contender(model)


def llamaindex(source: Source, pem: bytes | None) -> Contender:
    """`OCIDataScience`."""
    from benchmarks.floors_llamaindex import contender
    from llamaindex_mdstream import OCIDataScience

    return contender(OCIDataScience(endpoint=_endpoint(source), **_auth(pem)))


def langchain_bearer(source: Source, pem: bytes | None) -> Contender:
    """`ChatOCIModelDeployment` with a token instead of a signature, as OpenAI's clients have."""
    from benchmarks.floors_langchain import contender
    from langchain_mdstream import ChatOCIModelDeployment

    return contender(ChatOCIModelDeployment(endpoint=_endpoint(source), auth=_bearer()))


def llamaindex_bearer(source: Source, pem: bytes | None) -> Contender:
    """`OCIDataScience` with a token instead of a signature."""
    from benchmarks.floors_llamaindex import contender
    from llamaindex_mdstream import OCIDataScience

    return contender(OCIDataScience(endpoint=_endpoint(source), auth=_bearer()))


def langchain_many(source: Source, pem: bytes | None) -> Contender:
    """`ChatOCIModelDeployment` with more connections than by default, for thousands of streams at once."""
    from benchmarks.floors_langchain import contender
    from langchain_mdstream import ChatOCIModelDeployment

    return contender(ChatOCIModelDeployment(endpoint=_endpoint(source), **_auth(pem), **_large_pools()))


def llamaindex_many(source: Source, pem: bytes | None) -> Contender:
    """`OCIDataScience` with more connections than by default."""
    from benchmarks.floors_llamaindex import contender
    from llamaindex_mdstream import OCIDataScience

    return contender(OCIDataScience(endpoint=_endpoint(source), **_auth(pem), **_large_pools()))


def langchain_fewer_collections(source: Source, pem: bytes | None) -> Contender:
    """The same with thresholds of the garbage collector for a server of many streams; in a process of its own."""
    gc.set_threshold(*GC_THRESHOLDS)
    return langchain_many(source, pem)


def llamaindex_fewer_collections(source: Source, pem: bytes | None) -> Contender:
    """The same for LlamaIndex."""
    gc.set_threshold(*GC_THRESHOLDS)
    return llamaindex_many(source, pem)


def _large_pools() -> dict[str, Any]:
    import httpx

    from mdstream_core.transport import async_http_client, http_client

    limits = httpx.Limits(max_connections=5000, max_keepalive_connections=5000)
    return {"http_client": http_client(limits=limits), "http_async_client": async_http_client(limits=limits)}


def _endpoint(source: Source) -> str:
    return f"{source.url}/ocid1.datasciencemodeldeployment.oc1.iad.emulated"  # the emulator has no other


def _auth(pem: bytes | None) -> dict[str, Any]:
    return {"auth": _signer(pem)} if pem else {"auth_type": "none"}


def _bearer() -> Any:
    from mdstream_core.auth import BearerSigner

    return BearerSigner("none")


def _signer(pem: bytes | None) -> Any:
    from mdstream_core.auth.oci import OCISigner

    return OCISigner(_KEY_ID, pem) if pem else None


def rsa_key() -> bytes:
    """Create a private key of 2,048 bits as PEM, for contenders that sign."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
