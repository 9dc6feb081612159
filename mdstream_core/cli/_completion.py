"""`mdstream completion`: what makes a shell complete our words. Written from the options, so it knows them all."""

import argparse
from collections.abc import Iterator, Mapping

from mdstream_core._terminal import Terminal
from mdstream_core.cli._parser import Options, build_parser

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
    """Print it."""
    Terminal().write({"bash": _bash, "zsh": lambda: _ZSH + _bash(), "fish": _fish}[options.shell]())
    return 0


def _commands() -> Mapping[str, argparse.ArgumentParser]:
    actions = build_parser()._actions  # argparse has no public way to ask
    return next(action.choices for action in actions if isinstance(action, argparse._SubParsersAction))


def _options(command: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in command._actions:
        yield from ((name, action) for name in action.option_strings if name.startswith("--"))


def _bash() -> str:
    commands = _commands()
    chosen = {name: action.choices for one in commands.values() for name, action in _options(one) if action.choices}
    words = {name: " ".join(option for option, _ in _options(one)) for name, one in commands.items()}
    shells = next(action for action in commands["completion"]._actions if action.choices)
    words["completion"] += " " + " ".join(shells.choices or ())
    return _BASH.format(
        values="\n".join(
            f'        {name}) COMPREPLY=($(compgen -W "{" ".join(map(str, choices))}" -- "$word")); return ;;'
            for name, choices in chosen.items()
        ),
        options="\n".join(f'        {name}) words="{options}" ;;' for name, options in words.items()),
        commands=" ".join(commands),
    )


def _fish() -> str:
    commands = _commands()
    lines = ["complete -c mdstream -f"]
    lines += [f"complete -c mdstream -n __fish_use_subcommand -a {name}" for name in commands]
    for command, one in commands.items():
        seen = f"'__fish_seen_subcommand_from {command}'"
        lines += [_fish_option(seen, name, action) for name, action in _options(one)]
        lines += [
            f"complete -c mdstream -n {seen} -a '{' '.join(map(str, action.choices))}'"
            for action in one._actions
            if action.choices and not action.option_strings
        ]
    return "\n".join(lines) + "\n"


def _fish_option(seen: str, name: str, action: argparse.Action) -> str:
    told = (action.help or "").replace("'", "’")
    takes = "" if action.nargs == 0 else " -r -F" if name.endswith("-file") else " -x"
    takes += f" -a '{' '.join(map(str, action.choices))}'" if action.choices else ""
    return f"complete -c mdstream -n {seen} -l {name[2:]}{takes} -d '{told}'"
