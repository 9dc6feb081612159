"""The commands and their options. `mdstream --help` imports only this module, so it imports nothing slow."""

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from mdstream_core._version import __version__
from mdstream_core.cli import _help
from mdstream_core.cli._options import EXIT_USAGE
from mdstream_core.cli._platform_names import PLATFORM_NAMES, parse_platform_name
from mdstream_core.errors import split_hint

SHELLS = ("bash", "zsh", "fish")

_MAX_TIMEOUT_SECONDS = 86_400
_MAX_PORT = 65_535


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors end with a hint."""

    def error(self, message: str) -> NoReturn:
        """Print the usage, what is wrong and a hint, and exit with code 2."""
        message, hint = split_hint(message)
        hint = hint or self._suggest_name(message) or f"run '{self.prog} --help' for the options"
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\nhint: {hint}\n")

    def _suggest_name(self, message: str) -> str:
        """Return a "did you mean" for an unknown command or option, or an empty text."""
        if match := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            near = get_close_matches(match[1], [name.strip(" '") for name in match[2].split(",")], 1)
        elif match := re.search(r"unrecognized arguments: (--[\w-]+)", message):
            near = get_close_matches(match[1], self._option_string_actions, 1)
        else:
            near = []
        return f"did you mean {near[0]}?" if near else ""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help with names such as `oci-model-deployment` unbroken, and with each command on one line."""

    def add_argument(self, action: argparse.Action) -> None:
        """Add an argument. Commands are indented by two columns that argparse does not count."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += 2

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


def build_parser() -> argparse.ArgumentParser:
    """Create the parser of all commands."""
    parser = _Parser(
        prog="mdstream",
        description=_help.DESCRIPTION,
        epilog=f"{_help.EXAMPLES}\n\n{_help.EXIT_CODES}",
        formatter_class=_HelpFormatter,
        add_help=False,
    )
    options = parser.add_argument_group("Options")
    options.add_argument("-h", "--help", action="help", help="Show this help and exit.")
    options.add_argument("--version", action="version", version=f"mdstream {__version__}", help="Show the version.")
    commands = parser.add_subparsers(title="Commands", metavar="COMMAND", required=True)
    _add_chat_command(commands)
    _add_record_command(commands)
    _add_check_command(commands)
    _add_models_command(commands)
    _add_demo_command(commands)
    _add_emulate_command(commands)
    _add_completion_command(commands)
    return parser


def _add_command(
    commands: Any, usage: str, summary: str, *epilog: str, module: str | None = None, description: str = ""
) -> argparse.ArgumentParser:
    """Add a command. `usage` is its name and arguments; its module is imported when the command runs."""
    name = usage.partition(" ")[0]
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"mdstream {usage}",
        help=summary,
        description=description or summary,
        epilog="\n\n".join((*epilog, _help.EXIT_CODES)),
        formatter_class=_HelpFormatter,
        add_help=False,
    )
    command.set_defaults(module=module or f"_{name}", command_parser=command)
    return command


def _add_chat_command(commands: Any) -> None:
    summary = "Send a prompt to a model, or start a conversation."
    command = _add_command(
        commands, "chat [OPTIONS] ENDPOINT [PROMPT ...]", summary, _help.CHAT, _help.ENDPOINT_FORMS, _help.SECRETS
    )
    _add_endpoint_options(command)
    _add_request_options(
        command, "Prompt to send (default: standard input; on a terminal, an interactive conversation)."
    )
    _add_authentication_options(command)
    _add_connection_options(command)
    _add_text_options(command)


def _add_request_options(command: argparse.ArgumentParser, prompt_help: str) -> None:
    request = command.add_argument_group("Request")
    request.add_argument("prompt", nargs="*", metavar="PROMPT", help=prompt_help)
    request.add_argument("--system", metavar="TEXT", help="System message (default: none).")
    request.add_argument(
        "--max-tokens", type=int, metavar="N", help="Maximum length of the output, in tokens (default: the server's)."
    )
    request.add_argument("--temperature", type=float, metavar="T", help="Sampling temperature (default: the server's).")


def _add_record_command(commands: Any) -> None:
    summary = "Send a prompt to a model, and record the exchange for a bug report or a test."
    command = _add_command(
        commands, "record [OPTIONS] ENDPOINT [PROMPT ...]", summary, _help.RECORD, _help.ENDPOINT_FORMS, _help.SECRETS
    )
    _add_endpoint_options(command)
    _add_request_options(command, "Prompt to send (default: standard input).")
    _add_authentication_options(command)
    _add_connection_options(command)
    output = _add_text_options(command)
    output.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="File to write, which is replaced if it exists."
    )
    output.add_argument(
        "--keep-text",
        action="store_true",
        help="Record prompts, responses and error messages (default: placeholders of the same length).",
    )


def _add_check_command(commands: Any) -> None:
    summary = "Diagnose why an endpoint does not work."
    command = _add_command(
        commands,
        "check [OPTIONS] ENDPOINT",
        summary,
        *(_help.CHECK, _help.ENDPOINT_FORMS, _help.SECRETS),
        module="check",
        description=f"{summary}\n\n{_help.CHECK_DESCRIPTION}",
    )
    _add_endpoint_options(command)
    _add_authentication_options(command)
    _add_connection_options(command)
    _add_output_options(command, json=True).add_argument(
        "--report",
        metavar="FILE",
        help="ZIP file to write for an issue: findings, versions, a recording without texts.",
    )


def _add_models_command(commands: Any) -> None:
    summary = "List the models that an endpoint serves, or the model deployments of a compartment."
    command = _add_command(
        commands, "models [OPTIONS] [ENDPOINT]", summary, _help.MODELS, _help.ENDPOINT_FORMS, _help.SECRETS
    )
    _add_endpoint_options(command, is_optional=True)
    _add_authentication_options(command)
    _add_connection_options(command)
    _add_output_options(command, json=True)


def _add_demo_command(commands: Any) -> None:
    command = _add_command(
        commands, "demo [OPTIONS]", "Stream a response and a failing response from the emulator.", _help.DEMO
    )
    _add_platform_option(command.add_argument_group("Endpoint"), "Platform to show (default: all).")
    output = _add_output_options(command)
    output.add_argument("--fast", action="store_true", help="Do not wait between tokens (default: wait 0.02 seconds).")


def _add_emulate_command(commands: Any) -> None:
    command = _add_command(
        commands, "emulate [OPTIONS]", "Serve the emulator of all platforms until Ctrl-C.", _help.EMULATE
    )
    connection = command.add_argument_group("Connection")
    connection.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="Address to listen on (default: 127.0.0.1). Other addresses print a warning: requests need no credential.",
    )
    connection.add_argument(
        "--port", type=_port, default=0, metavar="PORT", help="Port to listen on, 0 to 65535 (default: 0, a free one)."
    )
    model = command.add_argument_group("Model")
    model.add_argument(
        "--upstream",
        metavar="URL",
        help="Base URL of an OpenAI-compatible server that generates the responses, such as "
        "http://127.0.0.1:11434/v1 (default: the built-in model).",
    )
    model.add_argument(
        "--flavour",
        metavar="NAME",
        default="vllm",
        help="Model server to imitate, such as vllm, sglang or tgi (default: vllm).",
    )
    model.add_argument(
        "--oci-genai-ending",
        dest="oci_genai_ending",
        choices=("eof", "done", "hang"),
        default="",
        help="End of oci-genai streams: eof closes the body, done sends [DONE], hang keeps the connection open "
        "(default: the behaviour of each model family).",
    )
    model.add_argument(
        "--delay", type=float, default=0.02, metavar="SECONDS", help="Pause between tokens, in seconds (default: 0.02)."
    )
    replay = command.add_argument_group("Replay")
    replay.add_argument(
        "--replay", type=_existing_file, metavar="FILE", help="Recording to play back instead of the services."
    )
    replay.add_argument("--timing", action="store_true", help="Repeat the recorded pauses (default: no pauses).")
    _add_rate_limit_options(command)
    _add_output_options(command)


def _add_rate_limit_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("Rate limit")
    group.add_argument(
        "--requests-per-second",
        dest="requests_per_second",
        type=float,
        metavar="N",
        help="Requests that each service accepts per second; others get its throttling error (default: no limit).",
    )
    group.add_argument(
        "--burst", type=int, metavar="N", help="Requests that are accepted at once (default: those of one second)."
    )
    group.add_argument(
        "--rate-limit-scope",
        dest="rate_limit_scope",
        choices=("tenancy", "endpoint"),
        help="Count the requests of each service together, or those of each endpoint (default: tenancy).",
    )
    group.add_argument(
        "--retry-after",
        dest="retry_after",
        metavar="SECONDS",
        help="Retry-After header of throttling errors: seconds, or exact (default: no header).",
    )


def _add_completion_command(commands: Any) -> None:
    command = _add_command(
        commands, "completion {bash,zsh,fish}", "Print a completion script for a shell.", _help.COMPLETION
    )
    command.add_argument_group("Shell").add_argument("shell", choices=SHELLS, help="Shell to complete for.")
    _add_output_options(command)


def _add_platform_option(group: Any, text: str) -> None:
    group.add_argument("--platform", type=parse_platform_name, choices=PLATFORM_NAMES, metavar="NAME", help=text)


def _add_endpoint_options(command: argparse.ArgumentParser, *, is_optional: bool = False) -> None:
    group = command.add_argument_group("Endpoint")
    text = "OCID, URL, ARN or name of the endpoint; the forms are listed below."
    if is_optional:
        text += " Without it, the model deployments of --compartment are listed."
    group.add_argument("endpoint", metavar="ENDPOINT", nargs="?" if is_optional else None, help=text)
    _add_platform_option(group, f"Platform of ENDPOINT: {', '.join(PLATFORM_NAMES)} (default: detected from ENDPOINT).")
    group.add_argument(
        "--region", metavar="NAME", help="Region, such as us-ashburn-1 (default: from ENDPOINT or the credentials)."
    )
    group.add_argument("--compartment", metavar="OCID", help="Compartment to bill; required for oci-genai.")
    group.add_argument(
        "--model",
        metavar="NAME",
        help="Model name; required for oci-genai (default: odsc-llm for oci-model-deployment, the first listed model "
        "for modelarts).",
    )
    group.add_argument(
        "--dialect",
        metavar="NAME",
        help="API format, such as openai-chat or tgi (default: detected for sagemaker, by model for oci-genai, else "
        "openai-chat).",
    )


def _add_authentication_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("Authentication")
    group.add_argument(
        "--auth-type",
        metavar="TYPE",
        help="Authentication method. OCI: api_key, session_token, resource_principal, instance_principal, "
        "oke_workload, bearer. ModelArts: token, password, aksk, appcode, app, api_key. All: none sends unsigned "
        "requests (default: the first credential that is found).",
    )
    group.add_argument(
        "--profile", metavar="NAME", help="Profile of ~/.oci/config or ~/.aws/config (default: the tools' own default)."
    )
    group.add_argument(
        "--config-file", type=_existing_file, metavar="FILE", help="OCI configuration file (default: ~/.oci/config)."
    )
    group.add_argument(
        "--api-key",
        metavar="SOURCE",
        help="Where to read a bearer API key: env:NAME, file:PATH, or - for standard input (default: "
        "MDSTREAM_API_KEY, if it is set).",
    )


def _add_connection_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("Connection")
    group.add_argument(
        "--timeout",
        type=_timeout_seconds,
        metavar="SECONDS",
        help="Longest wait for the next byte of a response, in seconds (default: the platform's own limit).",
    )
    group.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="Additional request header; can be repeated. Write a secret value as env:NAME or file:PATH (default: "
        "none).",
    )
    group.add_argument(
        "--ca-file",
        type=_existing_file,
        metavar="FILE",
        help="PEM file with the certificate authorities to trust (default: SSL_CERT_FILE, or the built-in list).",
    )


def _add_output_options(command: argparse.ArgumentParser, *, json: bool = False) -> Any:
    group = command.add_argument_group("Output")
    if json:
        group.add_argument(
            "--json", action="store_true", help="Print one JSON document without secrets (default: text)."
        )
    group.add_argument("-h", "--help", action="help", help="Show this help and exit.")
    return group


def _add_text_options(command: argparse.ArgumentParser) -> Any:
    group = _add_output_options(command, json=True)
    group.add_argument(
        "--no-markdown",
        dest="markdown",
        action="store_false",
        help="Display the text as it is received (default: a terminal renders Markdown, a pipe does not).",
    )
    return group


def _existing_file(text: str) -> str:
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no such file: {text!r} (hint: check the path)")
    return str(path)


def _timeout_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _MAX_TIMEOUT_SECONDS:
        hint = f"pass seconds, more than 0 and at most {_MAX_TIMEOUT_SECONDS}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid timeout (hint: {hint})")
    return seconds


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (hint: pass 0 to {_MAX_PORT}; 0 takes a free one)")
    return int(text)


def unknown_arguments_error(options: argparse.Namespace, arguments: Sequence[str]) -> NoReturn:
    """Exit with code 2 because of arguments that the command does not have."""
    options.command_parser.error(f"unrecognized arguments: {' '.join(arguments)}")
    raise AssertionError("unreachable")
