"""`mdstream demo`: a complete response and a failing one from the emulator, on each platform and framework."""

import asyncio
from importlib import import_module
from typing import Any

from mdstream_core._terminal import Terminal
from mdstream_core.cli._options import EXIT_FAILURE, Options
from mdstream_core.cli._platform_names import MODELARTS, OCI_GENAI, OCI_MODEL_DEPLOYMENT, PLATFORM_NAMES, SAGEMAKER
from mdstream_core.emulator import Emulator, Fault

#: Demo modules of the framework packages, and the label of the message if one is not installed.
_DEMO_MODULES = {"langchain_mdstream._demo": "LangChain", "llamaindex_mdstream._demo": "LlamaIndex"}

#: The failure of each platform: the fault of the emulator, and its description.
_FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    OCI_MODEL_DEPLOYMENT: ({"kind": "trailer"}, "OCI reports a failure after 200 OK, in the trailer StreamFailure"),
    OCI_GENAI: ({"kind": "error_event"}, "OCI reports a failure in an error event"),
    SAGEMAKER: ({"kind": "exception_frame"}, "SageMaker reports a failure in an exception frame"),
    MODELARTS: (
        {"kind": "trailer", "name": "close", "data": b"1011 the engine died"},
        "ModelArts closes the WebSocket with code 1011",
    ),
}


def run(options: Options) -> int:
    """Run `mdstream demo`."""
    terminal = Terminal()
    demos = [demo for name, title in _DEMO_MODULES.items() if (demo := _import_demo(name, title, terminal))]
    with Emulator(delay=0.0 if options.fast else 0.02) as emulator:
        terminal.line("emulator", emulator.url)
        for platform in [options.platform] if options.platform else PLATFORM_NAMES:
            fault, description = _FAILURES[platform]
            for demo in demos:
                model = demo.MODELS[platform](emulator)
                terminal.heading(f"{demo.FRAMEWORK} · {type(model).__name__} · {platform}")
                demo.stream(model, terminal)
                asyncio.run(demo.astream(model, terminal))
                terminal.line("failure", f"{description}:")
                emulator.script(Fault(**fault, after=6))
                demo.failure(model, terminal)
                model.close()
    return 0 if demos else EXIT_FAILURE


def _import_demo(name: str, title: str, terminal: Terminal) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        terminal.line(title, str(error), "magenta")
        return None
