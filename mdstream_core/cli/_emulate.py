"""`mdstream emulate`: the emulated cloud for any client."""

import asyncio

from mdstream_core._terminal import Terminal
from mdstream_core.cli._parser import Options
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
        terminal.line("", "serving until Ctrl-C")

    asyncio.run(serve(port=options.port, ready=ready, upstream=options.upstream, delay=options.delay))
    return 0
