"""The conversation of `mdstream chat` in a pseudo-terminal: commands, pasted texts, Markdown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pseudo_terminal import PseudoTerminal

from mdstream_core.cli import main
from mdstream_core.emulator import Emulator, ModelOutput

MARKDOWN = "# Title\n\nSome **bold** text.\n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """A model that responds with Markdown."""
    with Emulator(delay=0, model=lambda request: ModelOutput(text=(MARKDOWN,))) as emulator:
        yield emulator


def without_styles(output: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", output)


def test_commands_of_a_conversation(emulator: Emulator, tmp_path: Path) -> None:
    """Each command, an unknown one, and a file that must not be replaced."""
    emulator.reset()
    mine = tmp_path / "mine.md"
    mine.write_text("mine")
    saved = tmp_path / "chat.json"
    steps = (
        ("/help", "/save FILE"),
        ("/system Be brief.", "The system message is: Be brief."),
        ("/model qwen-3", "The model is qwen-3."),
        ("Hello!", "tokens in"),
        ("/mdoel", "did you mean /model?"),
        ("/nothing", "hint: /help lists the commands"),
        (f"/save {mine}", "exists already"),
        ("/save", "needs the name of a file"),
        (f"/save {tmp_path / 'none' / 'x.md'}", "cannot be written"),
        (f"/save {saved}", "Saved 3 messages"),
        (f"/save {tmp_path / 'chat.md'}", "Saved 3 messages"),
    )
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none", columns=200) as terminal:
        terminal.wait_for("/help lists the commands.\r\n")
        for number, (line, expected) in enumerate(steps):
            terminal.wait_for("> ")
            terminal.output = ""
            terminal.type(f"{line}\n")
            terminal.wait_for(expected)
            terminal.wait_for("> ", times=1 + line.count("> ")) if number else None
        terminal.type("/exit\n")
        assert 0 == terminal.wait()
    document = json.loads(saved.read_text())

    assert "mine" == mine.read_text()
    assert 1 == len(emulator.requests)
    assert ["Be brief.", "Hello!"] == [message["content"] for message in emulator.last.json["messages"]]
    assert "qwen-3" == emulator.last.json["model"] == document["model"]
    assert ["system", "user", "assistant"] == [message["role"] for message in document["messages"]]
    assert MARKDOWN in (tmp_path / "chat.md").read_text()
    assert "## User\n\nHello!\n" in (tmp_path / "chat.md").read_text()


def test_a_pasted_text_is_one_message(emulator: Emulator) -> None:
    """Bracketed paste: line breaks do not send it. A path or a comment at its start is no command."""
    emulator.reset()
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none") as terminal:
        terminal.wait_for("> ")
        terminal.type("\x1b[200~/help me\nwith two lines\n\nand a third\x1b[201~")
        terminal.wait_for("and a third")
        assert not emulator.requests
        terminal.type("\n")
        terminal.wait_for("tokens in")

    assert ["/help me\nwith two lines\n\nand a third"] == [one["content"] for one in emulator.last.json["messages"]]


@pytest.mark.parametrize(("options", "expected"), [([], "Some bold text."), (["--no-markdown"], "Some **bold** text.")])
def test_a_terminal_renders_markdown(emulator: Emulator, options: list[str], expected: str) -> None:
    """`--no-markdown` displays the source."""
    with PseudoTerminal("chat", emulator.endpoint, "--auth-type", "none", *options, "Hello!") as terminal:
        assert 0 == terminal.wait()

    assert expected in without_styles(terminal.output)


def test_a_pipe_gets_the_source(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Unchanged."""
    assert 0 == main(["chat", emulator.endpoint, "--auth-type", "none", "Hello!"])
    assert MARKDOWN == capsys.readouterr().out


def test_without_arguments_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 0."""
    assert 0 == main([])
    out, notes = capsys.readouterr()

    assert "Commands:" in out
    assert "mdstream chat" in out
    assert "" == notes
