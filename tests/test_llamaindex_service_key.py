"""A model connects again when what its connection was built from changes, and only then."""

from typing import Any

import httpx
import pytest
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from pydantic import SecretStr

from llamaindex_mdstream import OCIDataScience
from mdstream_core import RateLimit
from mdstream_core.auth import UnsignedSigner

URL = "http://127.0.0.1:1/ocid1.datasciencemodeldeployment.oc1.iad.abc"

#: Another value of each field that a connection depends on.
OTHERS: dict[str, Any] = {
    "auth": UnsignedSigner(),
    "auth_type": "bearer",
    "auth_profile": "OTHER",
    "auth_file_location": "/other",
    "api_key": SecretStr("other"),
    "endpoint": f"{URL}x",
    "region": "us-phoenix-1",
    "route": "/generate",
    "default_headers": {"x-tenant": "a"},
    "http_client": httpx.Client(),
    "http_async_client": httpx.AsyncClient(),
    "hooks": (print,),
    "max_retries": 7,
    "proxy": "http://127.0.0.1:2",
    "rate_limit": RateLimit(1),
    "rate_limiter": TokenBucketRateLimiter(requests_per_minute=60),
    "timeout": 3.0,
    "trust_env": False,
    "verify": False,
}


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> OCIDataScience:
    """A model that sends a key, or nothing."""
    monkeypatch.setenv("MDSTREAM_API_KEY", "key")
    return OCIDataScience(endpoint=URL, auth_type="none")


def test_all_fields_of_a_connection_are_tested() -> None:
    """
    The table has the fields of the address and of the connection, and those that hide their values.
    """
    names = {*OCIDataScience._address_fields, *OCIDataScience._connection_fields, "proxy", "default_headers"}

    assert names == OTHERS.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_a_changed_field_needs_another_connection(llm: OCIDataScience, name: str) -> None:
    """
    With the old value the old connection is used again.
    """
    first, before = llm._get_service(), getattr(llm, name)
    if name == "api_key":
        llm.auth_type = "bearer"
        first = llm._get_service()
    setattr(llm, name, OTHERS[name])
    other = llm._get_service()
    setattr(llm, name, before)

    assert first is not other
    assert first is llm._get_service()


def test_changed_contents_of_headers_need_another_connection(llm: OCIDataScience) -> None:
    """
    The key has a copy of the headers.
    """
    llm.default_headers = {"x-tenant": "a"}
    first = llm._get_service()
    llm.default_headers["x-tenant"] = "b"

    assert first is not llm._get_service()


@pytest.mark.parametrize("name", ["temperature", "model", "max_tokens", "extra_body", "additional_kwargs"])
def test_other_fields_share_the_connection(llm: OCIDataScience, name: str) -> None:
    """
    Parameters of requests are no part of a connection.
    """
    first = llm._get_service()
    setattr(llm, name, {} if name.startswith(("extra", "additional")) else "x")

    assert first is llm._get_service()
