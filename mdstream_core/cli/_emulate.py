"""`mdstream emulate`: run the emulator for any client."""

import asyncio
import itertools
import json
import shlex
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mdstream_core._terminal import Terminal
from mdstream_core.cli._options import Options, UsageError
from mdstream_core.cli._platform_names import MODELARTS, OCI_GENAI, OCI_MODEL_DEPLOYMENT, SAGEMAKER
from mdstream_core.emulator import Emulator, RequestRateLimit
from mdstream_core.emulator.emulator import exposure
from mdstream_core.recording import RecordingError

#: Option to the parameter of `RequestRateLimit`.
_RATE_LIMIT_OPTIONS = {"burst": "burst", "rate_limit_scope": "scope", "retry_after": "retry_after"}
_OPTIONS = ("host", "port", "upstream", "delay", "flavour", "oci_genai_ending")

_LABEL_WIDTH = 22
_PROMPT = "Name three rivers."
_GENAI_MODEL = "meta.llama-3.3-70b-instruct"

#: The packages with the classes whose constructor calls are printed.
_FRAMEWORKS = {"LangChain": "langchain_mdstream", "LlamaIndex": "llamaindex_mdstream"}


def run(options: Options) -> int:
    """Run `mdstream emulate`."""
    if options.upstream and not options.upstream.startswith(("http://", "https://")):
        raise UsageError(
            f"--upstream {options.upstream} is not an http:// or https:// URL "
            "(hint: pass the base URL, such as http://127.0.0.1:11434/v1)"
        )
    emulator = _create_emulator(options)
    if (warning := exposure(options.host)) is not None:
        sys.stderr.write(f"mdstream: warning: {warning}\n")
    try:
        asyncio.run(emulator.run(partial(_print_addresses, replay=options.replay)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on --host {options.host} --port {options.port}: {reason} "
            "(hint: choose another port, or 0 for a free one)"
        ) from None
    finally:
        if emulator.ledger.request_count:
            Terminal().write(f"{emulator.ledger.summarize()}\n")
    return 0


def _print_addresses(emulator: Emulator, replay: str | None = None) -> None:
    """Print each service's address, and the command and the constructor calls that reach it."""
    services = _list_services(emulator)
    lines: list[tuple[str, str]] = []
    for label, service in services.items():
        lines += [
            (label, service.address),
            *((f"  {name}", address) for name, address in service.other_addresses.items()),
            ("  command", service.command),
            *((f"  {framework}", call) for framework, call in service.constructor_calls.items()),
            ("", ""),
        ]
    for framework, module in _FRAMEWORKS.items():
        names = dict.fromkeys(service.classes[framework] for service in services.values())
        lines.append((f"{framework} imports", f"from {module} import {', '.join(names)}"))
    if replay:
        lines.append(("replay", f"the exchanges of {replay}, in their order"))
    else:
        lines.append(("try", shlex.join(("mdstream", "check", emulator.endpoint, "--auth-type", "none"))))
        control_plane = emulator.data_science
        command = ("mdstream", "models", "--compartment", control_plane.compartment_id, "--auth-type", "none")
        lines.append(("list deployments", f"OCI_ODSC_SERVICE_ENDPOINT={control_plane.endpoint} {shlex.join(command)}"))
    terminal = Terminal()
    for label, text in lines:
        terminal.write(f"{label:<{_LABEL_WIDTH}}{text}".rstrip() + "\n")
    terminal.write("\nNo request needs a credential. Press Ctrl-C to stop.\n")


@dataclass(frozen=True, slots=True)
class _Service:
    """How a service is reached.

    Attributes:
        address: ENDPOINT of `mdstream chat`, `models` and `check`.
        classes: Name of the chat model's class by framework.
        arguments: Arguments of both classes, without `auth_type`.
        options: Options of the commands, without `--auth-type`.
        other_addresses: Further addresses by name, which the same options reach.
    """

    address: str
    classes: Mapping[str, str]
    arguments: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)
    other_addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command that sends a prompt."""
        options = itertools.chain.from_iterable({**self.options, "--auth-type": "none"}.items())
        return shlex.join(("mdstream", "chat", self.address, *options, _PROMPT))

    @property
    def constructor_calls(self) -> dict[str, str]:
        """The call that creates a chat model, by framework."""
        arguments = {**self.arguments, "auth_type": "none"}
        text = ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())
        return {framework: f"{self.classes[framework]}({text})" for framework in _FRAMEWORKS}


def _list_services(emulator: Emulator) -> dict[str, _Service]:
    """The services by platform, and the model server itself, which speaks the API that MaaS has."""
    oci_genai, modelarts, sagemaker = emulator.oci_genai, emulator.modelarts, emulator.sagemaker
    compartment = oci_genai.compartment_id
    return {
        OCI_MODEL_DEPLOYMENT: _Service(
            emulator.endpoint, _classes("ChatOCIModelDeployment", "OCIDataScience"), {"endpoint": emulator.endpoint}
        ),
        OCI_GENAI: _Service(
            f"{oci_genai.endpoint}/20231130",  # the version in the path tells the command line whose address it is
            _classes("ChatOCIGenAI", "OCIGenAI"),
            {"model": _GENAI_MODEL, "service_endpoint": oci_genai.endpoint, "compartment_id": compartment},
            {"--model": _GENAI_MODEL, "--compartment": compartment},
        ),
        SAGEMAKER: _Service(
            f"{sagemaker.endpoint_url}/endpoints/{sagemaker.endpoint_name}",
            _classes("ChatSagemakerEndpoint", "SageMakerLLM"),
            {
                "endpoint_name": sagemaker.endpoint_name,
                "endpoint_url": sagemaker.endpoint_url,
                "region_name": sagemaker.region_name,
            },
        ),
        MODELARTS: _Service(
            modelarts.endpoint,
            _classes("ChatModelArts", "ModelArts"),
            {"endpoint": modelarts.endpoint},
            other_addresses={"WebSocket": modelarts.websocket_endpoint, "MaaS": modelarts.maas},
        ),
        "openai-compatible": _Service(
            emulator.openai_url,
            _classes("ChatModelArts", "ModelArts"),
            {"endpoint": emulator.openai_url},
            {"--platform": MODELARTS},
        ),
    }


def _classes(*names: str) -> dict[str, str]:
    return dict(zip(_FRAMEWORKS, names, strict=True))


def _create_emulator(options: Options) -> Emulator:
    try:
        with warnings.catch_warnings():  # `run` prints the warning about --host in one line
            warnings.simplefilter("ignore", RuntimeWarning)
            parameters = {name: getattr(options, name) for name in _OPTIONS}
            limits = _create_rate_limits(options)
            return Emulator(**parameters, rate_limits=limits, replay=options.replay, replay_timing=options.timing)
    except RecordingError as error:
        raise UsageError(f"--replay {error}") from None
    except ValueError as error:  # the message begins with the parameter, such as `flavour='x' is unknown`
        name, _, reason = str(error).partition("=")
        raise UsageError(f"--{name.replace('_', '-')}={reason}") from None


def _create_rate_limits(options: Options) -> list[RequestRateLimit]:
    """Build the rate limit that the options describe; none without `--requests-per-second`."""
    given: dict[str, Any] = {name: getattr(options, name) for name in _RATE_LIMIT_OPTIONS}
    parameters = {_RATE_LIMIT_OPTIONS[name]: value for name, value in given.items() if value is not None}
    if options.requests_per_second is None:
        if parameters:
            name = next(name for name, value in given.items() if value is not None)
            raise UsageError(
                f"--{name.replace('_', '-')} has no rate limit to apply to (hint: add --requests-per-second)"
            )
        return []
    if parameters.get("retry_after", "exact") != "exact":
        parameters["retry_after"] = _parse_seconds(parameters["retry_after"])
    return [RequestRateLimit(options.requests_per_second, **parameters)]


def _parse_seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--retry-after {text} is not a number of seconds (hint: pass seconds, or exact)") from None
