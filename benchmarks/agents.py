"""LLMs for an agent whose model generates a long tool call: mdstream and its peers."""
# ruff: noqa: PLC0415  (a benchmark imports only the package that it measures)

import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks.contenders import NotInstalled
from benchmarks.measure import Incomplete
from benchmarks.source import Source, token
from benchmarks.wire_formats import word

#: 25 KB of arguments.
PIECES = 5000


def ours(url: str) -> Any:
    """`OCIDataScience` of llamaindex_mdstream."""
    from llamaindex_mdstream import OCIDataScience

    return OCIDataScience(endpoint=f"{url}/ocid1.x", auth_type="none")


def llamaindex_oci(url: str) -> Any:
    """On httpx without a custom transport."""
    from benchmarks.peers import _signer, without_ads

    without_ads()
    from llama_index.llms.oci_data_science import OCIDataScience

    return OCIDataScience(endpoint=f"{url}/predict", auth={"signer": _signer(None)})


def llamaindex_openai_like(url: str) -> Any:
    """On the `openai` SDK."""
    from llama_index.llms.openai_like import OpenAILike

    options = {"is_chat_model": True, "is_function_calling_model": True}
    return OpenAILike(api_base=url, api_key="none", model="odsc-llm", **options)


OURS = "llamaindex_mdstream"
FACTORIES: dict[str, Callable[[str], Any]] = {
    OURS: ours,
    "llama-index OCIDataScience": llamaindex_oci,
    "llama-index OpenAILike": llamaindex_openai_like,
}


def create_agent_run(factory: Callable[[str], Any], source: Source, runner: asyncio.Runner) -> Callable[[], str] | None:
    """Return a function that runs the agent, after a checked warm-up; `None` if the package is missing."""
    from llama_index.core.agent.workflow import FunctionAgent

    notes: list[str] = []

    def note(text: str) -> str:
        """Take a note."""
        notes.append(text)
        return "noted"

    try:
        llm = factory(f"{source.url}/tool-call")
    except ModuleNotFoundError as error:
        print(NotInstalled(f"skipped, {error.name} is not installed"))
        return None

    async def run() -> str:
        output = await FunctionAgent(llm=llm, tools=[note]).run("Take a long note.")
        return output.response.content or ""

    message = runner.run(run())
    if [token(0), "".join(map(word, range(1, source.count)))] != [message, *notes]:
        raise Incomplete(
            f"{factory.__name__}: {message!r}, and {len(notes)} notes of {[len(text) for text in notes]} letters"
        )
    return lambda: runner.run(run())
