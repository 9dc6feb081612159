"""`mdstream emulate`: the emulated cloud for any client."""

import asyncio

from mdstream_core._terminal import Terminal
from mdstream_core.cli._parser import Options, Unusable
from mdstream_core.emulator import Emulator, serve


def run(options: Options) -> int:
    """Serve until Ctrl-C."""
    terminal = Terminal()

    def ready(cloud: Emulator) -> None:
        terminal.line("OCI", f"{cloud.endpoint}  (model deployment)")
        terminal.line("OCI GenAI", f"{cloud.oci_generative_ai.endpoint}  ({cloud.oci_generative_ai.compartment_id})")
        terminal.line("SageMaker", f"{cloud.sagemaker.endpoint_url}  (endpoint {cloud.sagemaker.endpoint_name})")
        terminal.line("ModelArts", f"{cloud.modelarts.endpoint}  (also ws://, MaaS {cloud.modelarts.maas})")
        terminal.line("OpenAI", f"{cloud.openai_url}  (the model server alone)")
        terminal.line("try", f"mdstream check {cloud.endpoint} --auth-type none")
        terminal.line("", "serving until Ctrl-C")

    if options.upstream and not options.upstream.startswith(("http://", "https://")):
        raise Unusable(f"--upstream {options.upstream} is no http:// or https:// URL")
    try:
        asyncio.run(serve(port=options.port, ready=ready, upstream=options.upstream, delay=options.delay))
    except (OSError, OverflowError) as error:
        raise Unusable(f"--port {options.port}: {getattr(error, 'strerror', None) or error}") from None
    return 0
