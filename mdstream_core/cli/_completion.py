"""`mdstream completion`: print a shell completion script. It is generated from the parser, so it has every option."""

import argparse
from collections.abc import Iterator, Mapping

from mdstream_core._terminal import Terminal
from mdstream_core.cli._options import Options
from mdstream_core.cli._parser import build_parser

_BASH = """\
_mdstream() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=""
    case "$before" in
{values}
        --config-file|--ca-file) COMPREPLY=($(compgen -f -- "$word")); return ;;
    esac
    case "${{COMP_WORDS[1]}}" in
{options}
    esac
    [ "$COMP_CWORD" = 1 ] && words="{commands} --help --version"
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -F _mdstream mdstream
"""

_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def run(options: Options) -> int:
    """Run `mdstream completion`."""
    Terminal().write({"bash": _bash, "zsh": lambda: _ZSH + _bash(), "fish": _fish}[options.shell]())
    return 0


def _commands() -> Mapping[str, argparse.ArgumentParser]:
    actions = build_parser()._actions  # argparse has no public access to its commands
    return next(action.choices for action in actions if isinstance(action, argparse._SubParsersAction))


def _options(command: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in command._actions:
        yield from ((name, action) for name in action.option_strings if name.startswith("--"))


def _bash() -> str:
    commands = _commands()
    choices = {
        name: action.choices for command in commands.values() for name, action in _options(command) if action.choices
    }
    words = {name: " ".join(option for option, _ in _options(command)) for name, command in commands.items()}
    shell = next(action for action in commands["completion"]._actions if action.choices)
    words["completion"] += " " + " ".join(shell.choices or ())
    return _BASH.format(
        values="\n".join(
            f'        {name}) COMPREPLY=($(compgen -W "{" ".join(map(str, values))}" -- "$word")); return ;;'
            for name, values in choices.items()
        ),
        options="\n".join(f'        {name}) words="{options}" ;;' for name, options in words.items()),
        commands=" ".join(commands),
    )


def _fish() -> str:
    commands = _commands()
    lines = ["complete -c mdstream -f"]
    lines += [f"complete -c mdstream -n __fish_use_subcommand -a {name}" for name in commands]
    for name, command in commands.items():
        condition = f"'__fish_seen_subcommand_from {name}'"
        lines += [_fish_option(condition, option, action) for option, action in _options(command)]
        lines += [
            f"complete -c mdstream -n {condition} -a '{' '.join(map(str, action.choices))}'"
            for action in command._actions
            if action.choices and not action.option_strings
        ]
    return "\n".join(lines) + "\n"


def _fish_option(condition: str, name: str, action: argparse.Action) -> str:
    description = (action.help or "").replace("'", "’")
    arguments = "" if action.nargs == 0 else " -r -F" if name.endswith("-file") else " -x"
    arguments += f" -a '{' '.join(map(str, action.choices))}'" if action.choices else ""
    return f"complete -c mdstream -n {condition} -l {name[2:]}{arguments} -d '{description}'"
