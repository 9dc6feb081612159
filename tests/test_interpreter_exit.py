"""A program that ends while a stream is suspended prints nothing about it."""

import subprocess
import sys

import pytest

from mdstream_core.emulator import Emulator

#: Programs that read the first piece of a stream, and end; `{url}` is the endpoint.
_PROGRAMS = {
    "core": """
from mdstream_core import OCIModelDeployment, OpenAIChat, Service
service = Service(OCIModelDeployment("{url}"))
stream = service.client.stream(service.call(OpenAIChat(), {{"messages": [{{"role": "user", "content": "hi"}}]}}))
next(stream)
""",
    "langchain": """
from langchain_mdstream import ChatOCIModelDeployment
stream = ChatOCIModelDeployment(endpoint="{url}", auth_type="none").stream("hi")
next(stream)
""",
    "llamaindex": """
from llama_index.core.llms import ChatMessage
from llamaindex_mdstream import OCIDataScience
stream = OCIDataScience(endpoint="{url}", auth_type="none").stream_chat([ChatMessage("hi")])
next(stream)
""",
}


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_suspended_stream_is_closed_silently(program: str) -> None:
    """Modules are `None` when the interpreter closes the generators that are left."""
    with Emulator() as emulator:
        code = _PROGRAMS[program].format(url=emulator.endpoint)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)

    assert "" == done.stderr
