"""`mdstream demo`: an answer that is streamed, and one that breaks, from an emulated cloud."""

import asyncio
from importlib import import_module
from typing import Any

from mdstream_core._terminal import Terminal
from mdstream_core.cli._parser import PLATFORMS, Options
from mdstream_core.emulator import Emulator, Fault

#: The packages that can show something, and what is said where one is not installed.
_DEMO_MODULES = {"langchain_mdstream._demo": "LangChain", "llamaindex_mdstream._demo": "LlamaIndex"}

#: How a stream is broken on each platform (a fault of the emulator), and what that is in words.
_FAILING_STEPS: dict[str, tuple[dict[str, Any], str]] = {
    "oci-model-deployment": ({"kind": "trailer"}, "OCI ends the stream after 200 OK, in the trailer StreamFailure"),
    "oci-genai": ({"kind": "error_event"}, "OCI ends the stream with an error event"),
    "sagemaker": ({"kind": "exception_frame"}, "SageMaker ends the stream with an exception frame"),
    "modelarts": (
        {"kind": "trailer", "name": "close", "data": b"1011 the engine died"},
        "ModelArts closes the WebSocket with code 1011",
    ),
}


def run(options: Options) -> int:
    """Both frameworks on each platform."""
    terminal = Terminal()
    shows = [show for name, title in _DEMO_MODULES.items() if (show := _run_demo(name, title, terminal))]
    with Emulator(delay=0.0 if options.fast else 0.02) as emulator:
        terminal.line("emulator", emulator.url)
        for platform in [options.platform] if options.platform else PLATFORMS:
            fault, words = _FAILING_STEPS[platform]
            for show in shows:
                model = show.MODELS[platform](emulator)
                terminal.heading(f"{show.FRAMEWORK} · {type(model).__name__}")
                show.stream(model, terminal)
                asyncio.run(show.astream(model, terminal))
                terminal.line("and then", f"{words}:")
                emulator.script(Fault(**fault, after=6))
                show.failure(model, terminal)
                model.close()
    return 0 if shows else 1


def _run_demo(name: str, title: str, terminal: Terminal) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        terminal.line(title, str(error), "magenta")
        return None
