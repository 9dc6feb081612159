"""The interactive conversation of `mdstream chat`, with its commands."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mdstream_core._terminal import Terminal, strip_control_characters
from mdstream_core.cli._chat_session import ChatSession
from mdstream_core.cli._options import UsageError
from mdstream_core.display import create_view
from mdstream_core.errors import MDStreamError, split_hint


class Conversation:
    """Reads prompts and commands from the terminal until `/exit` or Ctrl-D.

    A pasted text is one message with its line breaks, where Python has GNU readline (bracketed paste).
    """

    def __init__(self, chat: ChatSession) -> None:
        self._chat = chat
        self._terminal = Terminal(sys.stderr)
        self._messages = chat.initial_messages()
        self._saved: set[Path] = set()
        self._ended = False

    def run(self) -> int:
        """Run the conversation. Ctrl-C stops a response, or ends the conversation at the prompt."""
        _configure_readline()
        self._note(
            f"Chatting with {self._model()}. Ctrl-C stops a response, Ctrl-D ends the conversation, "
            "/help lists the commands."
        )
        while not self._ended:
            try:
                line = input("> ")
            except EOFError:
                self._note("")
                return 0
            if _is_command(line):
                self._run_command(line)
            elif prompt := line.strip():
                self._run_turn(prompt)
        return 0

    def help(self, _: str) -> None:
        """List the commands."""
        for command in _COMMANDS.values():
            self._note(f"{command.usage:<16} {command.summary}")
        self._note("A message that starts with a slash: type a space before it.")

    def exit(self, _: str) -> None:
        """End the conversation."""
        self._ended = True

    def model(self, name: str) -> None:
        """Use another model, or display the current one."""
        if name:
            self._chat.set_model(name)
        self._note(f"The model is {self._model()}.")

    def system(self, text: str) -> None:
        """Replace the system message, or display it."""
        if text:
            others = [message for message in self._messages if message["role"] != "system"]
            self._messages = [{"role": "system", "content": text}, *others]
        current = next((message["content"] for message in self._messages if message["role"] == "system"), "")
        self._note(f"The system message is: {current}" if current else "There is no system message.")

    def save(self, name: str) -> None:
        """Write the conversation to a file: JSON if its name ends with `.json`, else Markdown."""
        if not name:
            raise UsageError("/save needs the name of a file (hint: /save chat.md or /save chat.json)")
        path = Path(name).expanduser()
        document = self._to_json() if path.suffix.lower() == ".json" else self._to_markdown()
        try:
            with path.open("w" if path.resolve() in self._saved else "x", encoding="utf-8") as file:
                file.write(document)
        except FileExistsError:
            raise UsageError(f"{name} exists already (hint: choose another name)") from None
        except OSError as error:
            raise UsageError(f"{name} cannot be written: {error.strerror} (hint: check the path)") from None
        self._saved.add(path.resolve())
        self._note(f"Saved {len(self._messages)} messages to {name}.")

    def _run_command(self, line: str) -> None:
        name, _, argument = line.strip().partition(" ")
        command = _COMMANDS.get(name)
        if command is None:
            near = get_close_matches(name, _COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else "/help lists the commands"
            self._report(UsageError(f"unknown command {name} (hint: {hint})"))
            return
        try:
            command.run(self, argument.strip())
        except UsageError as error:
            self._report(error)

    def _run_turn(self, prompt: str) -> None:
        """Send one prompt. It is added to the conversation, with its response, only if that is complete."""
        message = {"role": "user", "content": prompt}
        view = create_view(markdown=self._chat.target.options.markdown)
        try:
            response = self._chat.send([*self._messages, message], view)
        except UsageError as error:  # no dialect fits the model
            self._report(error)
        except (MDStreamError, KeyboardInterrupt):
            self._note("This turn was not added to the conversation. Send the prompt again to retry.")
        else:
            self._messages += [message, {"role": "assistant", "content": response.text}]

    def _model(self) -> str:
        return strip_control_characters(self._chat.model) or "the model"

    def _to_json(self) -> str:
        document = {
            "platform": self._chat.target.endpoint_info.platform,
            "model": self._chat.model,
            "messages": self._messages,
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    def _to_markdown(self) -> str:
        return f"# Conversation with {self._model()}\n" + "".join(_to_section(message) for message in self._messages)

    def _note(self, text: str) -> None:
        self._terminal.write(f"{strip_control_characters(text)}\n")

    def _report(self, error: UsageError) -> None:
        text, hint = split_hint(str(error))
        self._note(f"{text}\nhint: {hint}" if hint else text)


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: how it is typed, what it does, and the method that runs it with its argument."""

    usage: str
    summary: str
    run: Callable[[Conversation, str], None]


_COMMANDS = {
    command.usage.partition(" ")[0]: command
    for command in (
        _Command("/help", "List the commands.", Conversation.help),
        _Command("/exit", "End the conversation (also Ctrl-D).", Conversation.exit),
        _Command("/model NAME", "Use another model; without NAME, display the current one.", Conversation.model),
        _Command("/system TEXT", "Replace the system message; without TEXT, display it.", Conversation.system),
        _Command("/save FILE", "Write the conversation as JSON (FILE.json) or Markdown.", Conversation.save),
    )
}


def _is_command(line: str) -> bool:
    """Return whether a line is a command: `/` and letters first, in one line. A pasted path or comment is none."""
    name = line.partition(" ")[0].strip()
    return name.startswith("/") and name[1:].isalpha() and "\n" not in line.strip()


def _to_section(message: dict[str, str]) -> str:
    return f"\n## {message['role'].title()}\n\n{message['content']}\n"


def _configure_readline() -> None:
    """Give `input` a history, and make a pasted text one message. Windows has no readline."""
    with suppress(ImportError):
        import readline  # noqa: PLC0415  # not available on Windows

        if "libedit" not in (readline.__doc__ or ""):  # macOS's Python may have libedit, which has no such option
            readline.parse_and_bind("set enable-bracketed-paste on")
