"""`mdstream models`: the models that a server lists at `/v1/models`, or the model deployments of a compartment."""

import json
import sys
from dataclasses import asdict
from typing import Any

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.auth._oci_deployments import DeploymentList, ModelDeployment, list_model_deployments
from mdstream_core.auth.oci import resolve_region
from mdstream_core.cli._credentials import resolve_oci_signer
from mdstream_core.cli._options import Options, UsageError, name_options
from mdstream_core.cli._platform_names import OCI_MODEL_DEPLOYMENT
from mdstream_core.cli._target import Target, list_models

#: Fields in which servers report the context window, in tokens.
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_input_tokens")


def run(options: Options) -> int:
    """Run `mdstream models`."""
    if options.endpoint is None:
        return _run_deployments(options)
    options.model = options.model or "any"  # the list needs no model, but the address on oci-genai does
    target = Target.from_options(options)
    models = list_models(target)
    terminal = Terminal()
    if options.json:
        document = {"endpoint": options.endpoint, "platform": target.endpoint_info.platform, "models": models}
        terminal.write(options.redact(json_text(document)) + "\n")
        return 0
    width = max((len(str(model.get("id"))) for model in models), default=0)
    for model in models:
        name, details = options.redact(model.get("id")), options.redact(_describe_model(model))
        terminal.write(f"{name:<{width}}  {details}".rstrip() + "\n")
    if not models:
        terminal.write("The server lists no models.\n")
    return 0


def _describe_model(model: dict[str, Any]) -> str:
    window = next((model[name] for name in _CONTEXT_FIELDS if isinstance(model.get(name), int)), None)
    facts = (f"{window:,} tokens" if window else "", f"by {model['owned_by']}" if model.get("owned_by") else "")
    return " · ".join(fact for fact in facts if fact)


def _run_deployments(options: Options) -> int:
    found = _find_deployments(options)
    terminal = Terminal()
    if not found.is_complete:
        count = len(found.deployments)
        Terminal(sys.stderr).write(
            f"mdstream: warning: the compartment has more; {count} active deployments are listed\n"
        )
    if options.json:
        document = {
            "compartment": options.compartment,
            "platform": OCI_MODEL_DEPLOYMENT,
            "deployments": [asdict(deployment) for deployment in found.deployments],
            "complete": found.is_complete,
        }
        terminal.write(options.redact(json_text(document)) + "\n")
        return 0
    for deployment in found.deployments:
        terminal.write(options.redact(_describe_deployment(deployment)) + "\n")
        terminal.write(f"  {options.redact(deployment.id)}\n  {options.redact(deployment.endpoint)}\n")
        for model in deployment.models:
            facts = " · ".join(fact for fact in (f"model={json.dumps(model.name)}", model.id) if fact)
            terminal.write(f"  {options.redact(facts)}\n")
        if deployment.problem:
            Terminal(sys.stderr).write(f"mdstream: warning: {options.redact(deployment.problem)}\n")
    if not found.deployments:
        terminal.write("The compartment has no active model deployments.\n")
    return 0


def _find_deployments(options: Options) -> DeploymentList:
    if options.platform not in {None, OCI_MODEL_DEPLOYMENT}:
        raise UsageError(
            f"ENDPOINT is missing (hint: only {OCI_MODEL_DEPLOYMENT} lists the endpoints of a compartment)"
        )
    if not options.compartment:
        raise UsageError(
            "ENDPOINT is missing (hint: pass an endpoint to list its models, or --compartment to list the model "
            "deployments of OCI Data Science)"
        )
    if options.header:
        raise UsageError("--header needs ENDPOINT (hint: remove it; the list of deployments has no other headers)")
    signer = resolve_oci_signer(options)
    try:
        region = (
            options.region
            or getattr(signer, "region", None)
            or resolve_region(auth_profile=options.profile, auth_file_location=options.config_file)
        )
        return list_model_deployments(
            signer, options.compartment, region=region, timeout=options.timeout, ca_file=options.ca_file
        )
    except ValueError as error:
        raise UsageError(name_options(str(error))) from None


def _describe_deployment(deployment: ModelDeployment) -> str:
    facts = (deployment.model, "AQUA" if deployment.is_aqua else "")
    return " · ".join(fact for fact in (deployment.display_name, *facts) if fact)
