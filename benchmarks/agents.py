"""Who runs an agent whose model writes a long tool call: ours, and the packages that people use today."""
# ruff: noqa: PLC0415  (nobody pays for another's imports)

import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks.contenders import NotInstalled
from benchmarks.measure import Incomplete
from benchmarks.server import Source
from benchmarks.wires import token, word

#: 25 KB of arguments.
PIECES = 5000


def ours(url: str) -> Any:
    """`OCIDataScience` of llamaindex_mdstream."""
    from llamaindex_mdstream import OCIDataScience

    return OCIDataScience(endpoint=f"{url}/ocid1.x", auth_type="none")


def llamaindex_oci(url: str) -> Any:
    """On stock httpx."""
    from benchmarks.peers import _signer, _without_ads

    _without_ads()
    from llama_index.llms.oci_data_science import OCIDataScience

    return OCIDataScience(endpoint=f"{url}/predict", auth={"signer": _signer(None)})


def llamaindex_openai_like(url: str) -> Any:
    """On the `openai` SDK."""
    from llama_index.llms.openai_like import OpenAILike

    requested = {"is_chat_model": True, "is_function_calling_model": True}
    return OpenAILike(api_base=url, api_key="none", model="odsc-llm", **requested)


OURS = "llamaindex_mdstream"
MAKERS: dict[str, Callable[[str], Any]] = {
    OURS: ours,
    "llama-index OCIDataScience": llamaindex_oci,
    "llama-index OpenAILike": llamaindex_openai_like,
}


def opened(make: Callable[[str], Any], source: Source, runner: asyncio.Runner) -> Callable[[], str] | None:
    """A run of the agent, warm and checked; `None` where the package is missing."""
    from llama_index.core.agent.workflow import FunctionAgent

    noted: list[str] = []

    def note(text: str) -> str:
        """Take a note."""
        noted.append(text)
        return "noted"

    try:
        llm = make(f"{source.url}/tool-call")
    except ModuleNotFoundError as error:
        print(NotInstalled(f"skipped, {error.name} is not installed"))
        return None

    async def run() -> str:
        output = await FunctionAgent(llm=llm, tools=[note]).run("Take a long note.")
        return output.response.content or ""

    message = runner.run(run())
    if [token(0), "".join(map(word, range(1, source.count)))] != [message, *noted]:
        raise Incomplete(
            f"{make.__name__}: {message!r}, and {len(noted)} notes of {[len(text) for text in noted]} letters"
        )
    return lambda: runner.run(run())
