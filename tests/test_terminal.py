"""Displayed text contains no control, invisible or bidirectional characters."""

import io
import json
import unicodedata
from typing import Any

import pytest
from rich.console import Console

from mdstream_core._terminal import Terminal, json_text, strip_control_characters
from mdstream_core.cli import main
from mdstream_core.display import PlainTextView, show
from mdstream_core.display._rich import RichView
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import StreamFailure
from mdstream_core.events import Event, ReasoningDelta, TextDelta, ToolCallDelta

#: Those that the Unicode Bidirectional Algorithm defines, all of them.
BIDIRECTIONAL = [chr(code) for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]

INVISIBLE = ["\u00ad", "\u180e", "\u200b", "\u2060", "\u2064", "\u206a", "\ufeff", "\ufff9", "\U0001d173", "\U000e0041"]

STEERING = ["\x00", "\x07", "\x08", "\r", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\ud800", "\udfff"]


@pytest.mark.parametrize("character", BIDIRECTIONAL + INVISIBLE, ids=lambda one: f"U+{ord(one):04X}")
def test_invisible_characters_are_removed(character: str) -> None:
    """At every position."""
    assert "user.exe" == strip_control_characters(f"{character}user{character * 3}.exe{character}")


@pytest.mark.parametrize("character", STEERING, ids=lambda one: f"U+{ord(one):04X}")
def test_control_characters_are_replaced(character: str) -> None:
    """By a visible character."""
    assert "a\ufffdb" == strip_control_characters(f"a{character}b")


@pytest.mark.parametrize(
    "text",
    [
        "plain, with\ttabs\nand lines",
        "👩‍💻 👨‍👩‍👧‍👦 ❤️ 🏳️‍🌈 👍🏽",
        "می‌خواهم",
        "क्‍ष",
        "שלום עולם, مرحبا",
        "naïve “quotes” … 漢字 한글",
    ],
    ids=ascii,
)
def test_scripts_and_emoji_are_kept(text: str) -> None:
    """Joiners and variation selectors are part of them; right-to-left text needs no marks."""
    assert text == strip_control_characters(text)


def test_every_format_character_is_removed() -> None:
    """All of category Cf except joiners and visible signs of Arabic, Kaithi, Syriac and Egyptian."""
    formats = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"]
    left = {one for one in formats if strip_control_characters(one)}
    seen = {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN", "ZERO"}

    assert {"\u200c", "\u200d"} <= left
    assert set() == {unicodedata.name(one) for one in left if unicodedata.name(one).split()[0] not in seen}


@pytest.mark.parametrize(
    "document", [{"a": "x\u202ey"}, ["\ud800", "\U000e0041", "\x9b"], {"é\u200b": "漢"}], ids=ascii
)
def test_json_documents_are_escaped_without_loss(document: Any) -> None:
    """Json documents are escaped without loss."""
    text = json_text(document)

    assert document == json.loads(text)
    assert text == strip_control_characters(text)


EVIL = "safe\u202etxt\u2066.exe\x1b]0;title\x07"
EVENTS: list[Event] = [ReasoningDelta(EVIL), TextDelta(EVIL), ToolCallDelta(0, "c1", EVIL, f'{{"a":"{EVIL}"}}')]


def breaks() -> Any:
    yield from EVENTS
    raise StreamFailure(f"the service said {EVIL}", code=EVIL, request_id=EVIL)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def assert_harmless(written: str) -> None:
    assert "safe" in written
    assert not {"\u202e", "\u2066", "\x07"} & set(written)
    assert "]0;title" not in written.replace("\ufffd]0;title", "")


def test_plain_terminals_show_no_control_characters() -> None:
    """In text, reasoning, calls, failures and their details."""
    out, notes = Screen(), Screen()
    with pytest.raises(StreamFailure):
        show(breaks(), view=PlainTextView(out, notes))

    assert_harmless(out.getvalue())
    assert_harmless(notes.getvalue())


def test_rich_terminals_show_no_control_characters() -> None:
    """Rich terminals show no control characters."""
    out = Screen()
    with pytest.raises(StreamFailure):
        show(breaks(), view=RichView(Console(file=out, force_terminal=True, width=120, highlight=False)))

    assert_harmless(out.getvalue())


def test_notebooks_show_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """In both forms of the output."""
    display = pytest.importorskip("IPython.display", reason="mdstream-llm[display] is not installed")
    from mdstream_core.display._notebook import NotebookView  # noqa: PLC0415

    bundles: list[dict[str, str]] = []

    class Handle:
        def update(self, bundle: dict[str, str], *, raw: bool) -> None:
            bundles.append(bundle)

    monkeypatch.setattr(display, "display", lambda *_, **__: Handle())
    with pytest.raises(StreamFailure):
        show(breaks(), view=NotebookView())

    for text in bundles[-1].values():
        assert_harmless(text)


def test_lines_and_headings_show_no_control_characters() -> None:
    """Of the command line."""
    out = Screen()
    terminal = Terminal(out)
    terminal.heading(EVIL)
    terminal.line("label", EVIL, "red")

    assert not {"\u202e", "\u2066", "\x07"} & set(out.getvalue())


@pytest.mark.parametrize("command", ["models", "check", "chat"])
@pytest.mark.parametrize("as_json", [False, True])
def test_commands_show_no_control_characters(command: str, as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The message of an error is the server's."""
    with Emulator() as emulator:
        emulator.always(Fault("refuse", status=403, message=EVIL))
        words = [command, emulator.endpoint, "--auth-type", "none", "--model", "m", *(["--json"] if as_json else [])]
        assert main([*words, *(["hi"] if command == "chat" else [])]) == 1
    written = "".join(capsys.readouterr())

    assert_harmless(written.replace("\\u001b", "\ufffd").replace("\\u0007", "\ufffd"))
