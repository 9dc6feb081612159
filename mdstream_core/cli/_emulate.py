"""`mdstream emulate`: the emulated cloud for any client."""

import asyncio
import sys
import warnings

from mdstream_core._terminal import Terminal
from mdstream_core.cli._parser import Options, UsageError
from mdstream_core.emulator import Emulator
from mdstream_core.emulator.emulator import exposure

_OPTIONS = ("host", "port", "upstream", "delay", "flavour", "generative_ai_ending")


def run(options: Options) -> int:
    """Serve until Ctrl-C."""
    terminal = Terminal()

    def on_ready(emulator: Emulator) -> None:
        terminal.line("OCI", f"{emulator.endpoint}  (model deployment)")
        terminal.line(
            "OCI GenAI", f"{emulator.oci_generative_ai.endpoint}  ({emulator.oci_generative_ai.compartment_id})"
        )
        terminal.line("SageMaker", f"{emulator.sagemaker.endpoint_url}  (endpoint {emulator.sagemaker.endpoint_name})")
        terminal.line("ModelArts", f"{emulator.modelarts.endpoint}  (also ws://, MaaS {emulator.modelarts.maas})")
        terminal.line("OpenAI", f"{emulator.openai_url}  (the model server alone)")
        terminal.line("try", f"mdstream check {emulator.endpoint} --auth-type none")
        terminal.line("", "serving until Ctrl-C")

    if options.upstream and not options.upstream.startswith(("http://", "https://")):
        raise UsageError(f"--upstream {options.upstream} is no http:// or https:// URL")
    emulator = _emulator(options)
    if (warning := exposure(options.host)) is not None:
        sys.stderr.write(f"mdstream: warning: {warning}\n")
    try:
        asyncio.run(emulator.run(on_ready))
    except (OSError, OverflowError) as error:
        raise UsageError(f"--port {options.port}: {getattr(error, 'strerror', None) or error}") from None
    return 0


def _emulator(options: Options) -> Emulator:
    try:
        with warnings.catch_warnings():  # it is said below, in one line
            warnings.simplefilter("ignore", RuntimeWarning)
            return Emulator(**{name: getattr(options, name) for name in _OPTIONS})
    except ValueError as error:  # a flavour that is unknown: the message lists those that exist
        raise UsageError(f"--{error}") from None
