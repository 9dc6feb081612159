"""The command `mdstream`: a demonstration, and the emulator to try things on."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from mdstream_core._terminal import Terminal
from mdstream_core._version import __version__
from mdstream_core.errors import MissingExtra

#: The packages that can show something, and what is said where one is not installed.
_SHOWS = {"langchain_mdstream._demo": "LangChain", "llamaindex_mdstream._demo": "LlamaIndex"}

#: The platforms, how a stream is broken there (a fault of the emulator), and what that is in words.
_PLATFORMS: dict[str, tuple[dict[str, Any], str]] = {
    "oci-model-deployment": ({"kind": "trailer"}, "OCI ends the stream after 200 OK, in the trailer StreamFailure"),
    "oci-genai": ({"kind": "error_event"}, "OCI ends the stream with an error event"),
    "sagemaker": ({"kind": "exception_frame"}, "SageMaker ends the stream with an exception frame"),
    "modelarts": (
        {"kind": "trailer", "name": "close", "data": b"1011 the engine died"},
        "ModelArts closes the WebSocket with code 1011",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0 when all went well, 1 when it did not, 2 for wrong words."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130
    except MissingExtra as error:
        Terminal(sys.stderr).write(f"{error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mdstream",
        description="Stream from hosted models into LangChain and LlamaIndex; a stream that failed is never a success.",
    )
    parser.add_argument("--version", action="version", version=f"mdstream {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo = commands.add_parser("demo", help="stream an answer, and then a broken one, from an emulated cloud")
    demo.add_argument("--platform", choices=_PLATFORMS, help="only this one; by default all four")
    demo.add_argument("--fast", action="store_true", help="do not pause between tokens")
    demo.set_defaults(run=_demo)
    emulate = commands.add_parser("emulate", help="serve an emulated cloud on loopback until Ctrl-C")
    emulate.add_argument("--port", type=int, default=0, help="the port; 0 takes a free one (default)")
    emulate.add_argument(
        "--upstream", metavar="URL", help="an OpenAI-compatible server to answer from, e.g. …:11434/v1"
    )
    emulate.add_argument("--delay", type=float, default=0.02, metavar="SECONDS", help="between tokens (default 0.02)")
    emulate.set_defaults(run=_emulate)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from mdstream_core.emulator import Emulator, Fault  # noqa: PLC0415  # the other commands do without

    terminal = Terminal()
    shows = [show for name, title in _SHOWS.items() if (show := _show(name, title, terminal))]
    with Emulator(delay=0.0 if options.fast else 0.02) as cloud:
        terminal.line("emulator", cloud.url)
        for platform in [options.platform] if options.platform else _PLATFORMS:
            fault, words = _PLATFORMS[platform]
            for show in shows:
                model = show.MODELS[platform](cloud)
                terminal.heading(f"{show.FRAMEWORK} · {type(model).__name__}")
                show.stream(model, terminal)
                asyncio.run(show.astream(model, terminal))
                terminal.line("and then", f"{words}:", "dim")
                cloud.script(Fault(**fault, after=6))
                show.failure(model, terminal)
                model.close()
    return 0 if shows else 1


def _show(name: str, title: str, terminal: Terminal) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        terminal.line(title, str(error), "yellow")
        return None


def _emulate(options: argparse.Namespace) -> int:
    from mdstream_core.emulator import Emulator, serve  # noqa: PLC0415

    terminal = Terminal()

    def ready(cloud: Emulator) -> None:
        terminal.line("OCI", f"{cloud.endpoint}  (model deployment)")
        terminal.line("OCI GenAI", f"{cloud.oci_generative_ai.endpoint}  ({cloud.oci_generative_ai.compartment_id})")
        terminal.line("SageMaker", f"{cloud.sagemaker.endpoint_url}  (endpoint {cloud.sagemaker.endpoint_name})")
        terminal.line("ModelArts", f"{cloud.modelarts.endpoint}  (also ws://, MaaS {cloud.modelarts.maas})")
        terminal.line("OpenAI", f"{cloud.openai_url}  (the model server alone)")
        terminal.line("", "serving until Ctrl-C", "dim")

    asyncio.run(serve(port=options.port, ready=ready, upstream=options.upstream, delay=options.delay))
    return 0


if __name__ == "__main__":
    sys.exit(main())
