"""What may stand on the command line. It imports nothing that takes time: `--help` must be quick."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdstream_core._terminal import strip_control_characters
from mdstream_core._version import __version__

#: Exit codes.
FAILED, USAGE, MISSING, INTERRUPTED = 1, 2, 3, 130

#: What is shorter guards nothing, and would veil half of what is written.
_MIN_SECRET_LENGTH = 6

PLATFORMS = ("oci-model-deployment", "oci-genai", "sagemaker", "modelarts")
SHELLS = ("bash", "zsh", "fish")

_EXIT_CODES = """\
exit codes:
  0    all went well
  1    the service failed, or a check did
  2    the command line is wrong
  3    a credential or a package is missing on this machine
  130  stopped by Ctrl-C"""

_ENDPOINTS = """\
ENDPOINT says which platform is asked, or --platform does:
  ocid1.datasciencemodeldeployment.…, or its URL      oci-model-deployment
  https://inference.generativeai.REGION.oci.…,
    or the OCID of a dedicated endpoint               oci-genai
  a name, arn:aws:sagemaker:…, https://…/endpoints/X  sagemaker
  https:// or wss://…modelarts…, …/v1/infers/ID       modelarts"""

_SECRETS = """\
Secrets never go onto a command line, where other users and the shell's history
see them: --api-key takes env:NAME, file:PATH or - (standard input). Without it
the environment is searched: MDSTREAM_API_KEY, and what the platforms' own tools
read (~/.oci/config, AWS_…, HUAWEICLOUD_SDK_…, MODELARTS_…)."""

_CHAT = """\
examples:
  mdstream chat ocid1.datasciencemodeldeployment.oc1.iad.… Name three rivers.
  echo "Name three rivers." | mdstream chat my-endpoint --region us-east-1 > rivers.txt
  mdstream chat https://inference.generativeai.us-chicago-1.oci.oraclecloud.com \\
      --model xai.grok-4 --compartment ocid1.compartment.oc1..…    (Ctrl-D ends it)
  mdstream chat https://api.modelarts-maas.com/v1 --model deepseek-v3 \\
      --api-key env:MAAS_API_KEY Hello!"""

_CHECK = """\
examples:
  mdstream check ocid1.datasciencemodeldeployment.oc1.iad.… --profile TEAM
  mdstream check arn:aws:sagemaker:eu-west-1:123456789012:endpoint/llama --json
  mdstream check wss://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1b \\
      --auth-type aksk

It looks at what lies between here and an answer, one after the other:
credentials, DNS, TCP, TLS, the clock, the signature, the model's name,
streaming, tools, embeddings. Up to five short questions are asked, and billed
as any."""

_MODELS = """\
examples:
  mdstream models https://modeldeployment.us-ashburn-1.oci.customer-oci.com/ocid1.…
  mdstream models https://api.modelarts-maas.com/v1 --api-key env:MAAS_API_KEY --json"""

_COMPLETION = """\
examples:
  mdstream completion bash > ~/.local/share/bash-completion/completions/mdstream
  mdstream completion zsh  > ~/.mdstream.zsh     (and in .zshrc: source ~/.mdstream.zsh)
  mdstream completion fish > ~/.config/fish/completions/mdstream.fish"""


class UsageError(Exception):
    """What was said on the command line cannot be meant; the message says what could."""


class MissingCredential(Exception):
    """There is nothing to sign with on this machine; the message says where it was looked for."""


class Options(argparse.Namespace):
    """What was said on the command line; each command reads the fields of its own options."""

    module: str
    json: bool
    # what is asked
    endpoint: str
    platform: str | None
    auth_type: str | None
    profile: str | None
    config_file: str | None
    api_key: str | None
    region: str | None
    compartment: str | None
    model: str | None
    dialect: str | None
    timeout: float | None
    header: list[str]
    ca_file: str | None
    # of single commands
    question: list[str]
    system: str | None
    max_tokens: int | None
    temperature: float | None
    fast: bool
    host: str
    port: int
    upstream: str | None
    flavour: str
    generative_ai_ending: str
    delay: float
    shell: str

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self._secrets: list[str] = []
        #: What was read already, by its source: standard input can be read once only.
        self.found: dict[str, str] = {}

    def add_secret(self, secret: str) -> str:
        """Remember a secret, so that nothing that is written shows it."""
        if len(secret) >= _MIN_SECRET_LENGTH:
            self._secrets.append(secret)
        return secret

    def redact(self, text: object) -> str:
        """A text without the secrets that were read, and without what a server may send to steer a terminal."""
        shown = strip_control_characters(str(text))
        for secret in self._secrets:
            shown = shown.replace(secret, "…")
        return shown


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    whole = _create_parser(
        argparse.ArgumentParser,
        prog="mdstream",
        description="Stream from models that a cloud hosts; a stream that failed is never a success.",
        epilog=f"mdstream COMMAND --help has examples.\n\n{_EXIT_CODES}",
    )
    whole.add_argument("--version", action="version", version=f"mdstream {__version__}")
    commands = _CommandBuilder(whole.add_subparsers(title="commands", metavar="COMMAND", required=True))
    _add_chat_options(
        commands.add("chat", "talk to a model: one question, or a conversation at a prompt", _CHAT, needs_endpoint=True)
    )
    commands.add("check", "find out what keeps an endpoint from answering", _CHECK, needs_endpoint=True)
    commands.add("models", "list the models that a server names", _MODELS, needs_endpoint=True)
    _add_demo_options(commands.add("demo", "stream an answer, and then a broken one, from an emulated cloud"))
    _add_emulate_options(commands.add("emulate", "serve an emulated cloud on loopback until Ctrl-C"))
    completion = commands.add("completion", "print what makes a shell complete these words", _COMPLETION)
    completion.add_argument("shell", choices=SHELLS)
    return whole


def _create_parser(make: Callable[..., Any], **fields: Any) -> argparse.ArgumentParser:
    built: argparse.ArgumentParser = make(formatter_class=argparse.RawDescriptionHelpFormatter, **fields)
    return built


class _CommandBuilder:
    """Adds commands, each with what all have in common."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def add(
        self, name: str, help_text: str, examples: str = "", *, needs_endpoint: bool = False
    ) -> argparse.ArgumentParser:
        """A command; one that `needs_endpoint` an endpoint has the options for it."""
        notes = (examples, *((_ENDPOINTS, _SECRETS) if needs_endpoint else ()), _EXIT_CODES)
        command = _create_parser(
            lambda **fields: self._made.add_parser(name, help=help_text, **fields),
            description=f"{help_text[0].upper()}{help_text[1:]}.",
            epilog="\n\n".join(note for note in notes if note),
        )
        if needs_endpoint:
            _add_endpoint_options(command)
            command.add_argument("--json", action="store_true", help="write one JSON document, which holds no secrets")
        command.set_defaults(module=f"_{name}")
        return command


def _add_endpoint_options(options: argparse.ArgumentParser) -> None:
    """The options that say where to ask, and as whom."""
    options.add_argument("endpoint", metavar="ENDPOINT", help="the model's address, OCID or name")
    where = options.add_argument_group("where")
    where.add_argument("--platform", choices=PLATFORMS, help="where ENDPOINT does not tell")
    where.add_argument("--region", help="such as us-ashburn-1, where ENDPOINT and the credentials do not tell")
    where.add_argument("--compartment", metavar="OCID", help="who pays for OCI Generative AI")
    where.add_argument("--model", metavar="NAME", help="the model's name; by default the server's first, or none")
    where.add_argument("--dialect", metavar="NAME", help="what is spoken there; by default what is usual")
    who = options.add_argument_group("as whom")
    who.add_argument(
        "--auth-type", metavar="TYPE", help="api_key, session_token, resource_principal, bearer, aksk, none …"
    )
    who.add_argument("--profile", metavar="NAME", help="of ~/.oci/config or ~/.aws")
    who.add_argument("--config-file", type=_existing_file, metavar="FILE", help="instead of ~/.oci/config")
    who.add_argument("--api-key", metavar="SOURCE", help="a bearer key: env:NAME, file:PATH, or - for standard input")
    how = options.add_argument_group("how")
    how.add_argument(
        "--timeout",
        type=_positive_seconds,
        metavar="SECONDS",
        help="the longest silence (default: the service's limit)",
    )
    how.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a further header; a secret value is env:NAME or file:PATH, whatever the header is called",
    )
    how.add_argument(
        "--ca-file", type=_existing_file, metavar="FILE", help="the certificate authorities to trust, in PEM"
    )


def _add_chat_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("question", nargs="*", metavar="QUESTION", help="default: standard input, or a prompt")
    command.add_argument("--system", metavar="TEXT", help="what the model is told beforehand")
    command.add_argument("--max-tokens", type=int, metavar="N", help="how long an answer may be")
    command.add_argument("--temperature", type=float, metavar="T", help="how freely the model chooses its words")


def _add_demo_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--platform", choices=PLATFORMS, help="only this one; by default all four")
    command.add_argument("--fast", action="store_true", help="do not pause between tokens")


def _add_emulate_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="the address to listen on (default 127.0.0.1); one that other machines reach is warned of",
    )
    command.add_argument("--port", type=int, default=0, help="the port; 0 takes a free one (default)")
    command.add_argument(
        "--upstream", metavar="URL", help="an OpenAI-compatible server to answer from, e.g. …:11434/v1"
    )
    command.add_argument(
        "--flavour",
        metavar="NAME",
        default="vllm",
        help="the model server to imitate: vllm, sglang, tgi … (default vllm)",
    )
    command.add_argument(
        "--generative-ai-ending",
        choices=("eof", "done", "hang"),
        default="",
        help="how streams of OCI Generative AI end: with the body, with [DONE], or not at all, as Cohere's were seen "
        "to do (default: the way of each model family)",
    )
    command.add_argument("--delay", type=float, default=0.02, metavar="SECONDS", help="between tokens (default 0.02)")


def _existing_file(text: str) -> str:
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return str(path)


def _positive_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be a positive number of seconds")
    return seconds
