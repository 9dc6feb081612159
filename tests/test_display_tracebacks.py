"""Failures in IPython and notebooks: one box, the user's own frames, and no cause twice."""

import io
import pickle
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from langchain_mdstream import ChatOCIModelDeployment
from llamaindex_mdstream import OCIDataScience
from mdstream_core import errors
from mdstream_core.display._traceback import format_causes
from mdstream_core.emulator import Emulator, Fault

#: Code of a user, for each framework, in each call style.
MODELS = {
    "LangChain": "chat = ChatOCIModelDeployment(endpoint=endpoint, auth_type='none', max_retries=0)",
    "LlamaIndex": "llm = OCIDataScience(endpoint=endpoint, auth_type='none', max_retries=0)",
}
LOOPS = {
    "LangChain": "for chunk in chat.stream('Name three rivers.'):\n        pass",
    "LangChain, async": "async for chunk in chat.astream('Name three rivers.'):\n        pass",
    "LlamaIndex": "for chunk in llm.stream_complete('Name three rivers.'):\n        pass",
    "LlamaIndex, async": "async for chunk in await llm.astream_complete('Name three rivers.'):\n        pass",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(delay=0) as emulator:
        yield emulator


@pytest.fixture
def failing(served: Emulator) -> str:
    """The endpoint; the next stream fails."""
    served.reset()
    served.always(Fault("trailer", after=6))
    return served.endpoint


@pytest.fixture
def shell(failing: str) -> Iterator[InteractiveShell]:
    """IPython in a terminal, with the classes and the endpoint as variables."""
    shell = InteractiveShell.instance()
    shell.user_ns |= {
        "ChatOCIModelDeployment": ChatOCIModelDeployment,
        "OCIDataScience": OCIDataScience,
        "endpoint": failing,
        "events": interrupted,
    }
    yield shell
    if hasattr(shell, "kernel"):
        del shell.kernel


def interrupted() -> Iterator[Any]:
    """A stream that is interrupted with Ctrl-C."""
    yield "half"
    raise KeyboardInterrupt


def run(shell: InteractiveShell, code: str) -> tuple[str, list[dict[str, str]]]:
    """Run a cell. Returns what it printed, and the MIME bundles of its output, of which there is one at most."""
    out = io.StringIO()
    with capture_output() as captured, redirect_stdout(out), redirect_stderr(out):
        shell.run_cell(code)
    assert len({output.transient.get("display_id") for output in captured.outputs}) <= 1
    assert sum(not output.update for output in captured.outputs) <= 1
    return out.getvalue() + captured.stdout, [output.data for output in captured.outputs]


def loop(style: str) -> str:
    loop = LOOPS[style]
    is_async = "async" if "async" in style else ""
    run = "await ask()" if is_async else "ask()"
    return f"{MODELS[style.partition(',')[0]]}\n{is_async} def ask():\n    {loop}\n{run}".replace("\n def", "\ndef")


@pytest.mark.parametrize("style", LOOPS)
def test_ipython_prints_the_users_frames(shell: InteractiveShell, style: str) -> None:
    """A plain loop that fails: the two lines of the cell, and the message once, without the library's frames."""
    printed, displayed = run(shell, loop(style))

    assert [] == displayed
    assert 2 == len(re.findall(r"^  .*, line \d+", printed, re.MULTILINE))
    assert "ask()" in printed
    assert LOOPS[style].partition("\n")[0] in printed
    assert 1 == printed.count("408 ModelResponseTimeExceeded")
    assert "request id" in printed
    assert not re.search(r"mdstream_core/|_mdstream/|direct cause|During handling", printed)


@pytest.mark.parametrize("style", ["LangChain", "LlamaIndex, async"])
def test_a_notebook_displays_one_box(shell: InteractiveShell, style: str) -> None:
    """A plain loop that fails: one output with the traceback folded, which hides the text of IPython."""
    shell.kernel = object()
    _, displayed = run(shell, loop(style))
    bundle = displayed[-1]

    assert 1 == bundle["text/html"].count("<details")
    assert "<details open" not in bundle["text/html"]
    assert "✗ The service stopped the response because it took too long." in bundle["text/html"]
    assert ":has([data-mime-type=" in bundle["text/html"]


SHOWN = {
    "sync": "from mdstream_core.display import show\nshow(chat.stream('Name three rivers.'))",
    "async": "from mdstream_core.display import ashow\nawait ashow(chat.astream('Name three rivers.'))",
}


@pytest.mark.parametrize("code", SHOWN.values(), ids=SHOWN)
def test_a_failing_show_has_one_box(shell: InteractiveShell, code: str) -> None:
    """The traceback is added to the output that has the partial response, after the failure."""
    shell.kernel = object()
    _, displayed = run(shell, f"{MODELS['LangChain']}\n{code}")
    pages = [bundle for bundle in displayed if "text/html" in bundle]

    assert 1 == sum(bundle.get("text/plain") == "" for bundle in displayed)  # the rest are updates of it
    assert "<p>The Nile, the Amazon</p>" in pages[-1]["text/html"]
    assert 1 == pages[-1]["text/html"].count("<details")
    assert 0 == pages[-2]["text/html"].count("<details")


def test_an_interrupt_in_a_notebook_is_one_box(shell: InteractiveShell) -> None:
    """The received text is kept, and the traceback has the user's line only."""
    shell.kernel = object()
    printed, displayed = run(shell, "from mdstream_core.display import show\nshow(events())")

    assert "<p>half</p>" in displayed[-1]["text/html"]
    assert "■ interrupted" in displayed[-1]["text/html"]
    assert 1 == displayed[-1]["text/html"].count("<details")
    assert "show(events())" in printed
    assert "mdstream_core/" not in printed


def test_every_frame_on_request(shell: InteractiveShell) -> None:
    """`%xmode Verbose` displays the traceback of IPython."""
    try:
        printed, _ = run(shell, f"%xmode Verbose\n{loop('LangChain')}")
    finally:
        run(shell, "%xmode Context")

    assert "mdstream_core/" in printed


def test_causes_are_named_once() -> None:
    """A cause with another message is named; one with the same message, and a circular chain, are not repeated."""
    error = errors.StreamInterrupted("the connection was closed")
    error.__cause__ = errors.StreamInterrupted("the connection was closed")
    error.__cause__.__cause__ = OSError("reset by <peer>\x1b[2J")
    error.__cause__.__cause__.__cause__ = error

    assert ["caused by OSError: reset by <peer>\x1b[2J"] == format_causes(error)
    assert "\x1b" not in "".join(error._render_traceback_())
    assert 1 == sum("connection was closed" in line for line in error._render_traceback_())


def test_a_displayed_error_can_be_pickled(shell: InteractiveShell) -> None:
    """The output is not stored in the error."""
    shell.kernel = object()
    run(shell, f"{MODELS['LangChain']}\ntry:\n    from mdstream_core.display import show\n    show(chat.stream('x'))\nexcept Exception as failed:\n    error = failed")  # fmt: skip

    assert "ModelResponseTimeExceeded" == pickle.loads(pickle.dumps(shell.user_ns["error"])).code
