"""`mdstream emulate`: run the emulator for any client."""

import asyncio
import sys
import warnings
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
        asyncio.run(emulator.run(_print_addresses))
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


def _print_addresses(emulator: Emulator) -> None:
    oci_genai, modelarts, sagemaker = emulator.oci_genai, emulator.modelarts, emulator.sagemaker
    lines = {
        OCI_MODEL_DEPLOYMENT: emulator.endpoint,
        OCI_GENAI: f"{oci_genai.endpoint}  (--compartment {oci_genai.compartment_id})",
        SAGEMAKER: f"{sagemaker.endpoint_url}  (endpoint {sagemaker.endpoint_name})",
        MODELARTS: f"{modelarts.endpoint}  (also ws://; MaaS: {modelarts.maas})",
        "openai-compatible": f"{emulator.openai_url}  (the model server without a platform)",
        "try": f"mdstream check {emulator.endpoint} --auth-type none",
    }
    terminal = Terminal()
    for label, text in lines.items():
        terminal.write(f"{label:<{_LABEL_WIDTH}}{text}\n")
    terminal.write("Press Ctrl-C to stop.\n")


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
