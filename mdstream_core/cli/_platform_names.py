"""The platform names, and the other spellings that `--platform` accepts."""

import argparse
import re
from difflib import get_close_matches

OCI_MODEL_DEPLOYMENT = "oci-model-deployment"
OCI_GENAI = "oci-genai"
SAGEMAKER = "sagemaker"
MODELARTS = "modelarts"

#: The names that every output uses. They equal `Platform.name`.
PLATFORM_NAMES = (OCI_MODEL_DEPLOYMENT, OCI_GENAI, SAGEMAKER, MODELARTS)

_ALIASES = {
    OCI_MODEL_DEPLOYMENT: (
        "oci-data-science oci-datascience data-science datascience model-deployment oci-modeldeployment "
        "modeldeployment oci-ods ods oci-odsc odsc oci-aqua aqua"
    ),
    OCI_GENAI: "oci-generative-ai oci-generativeai oci-gen-ai generative-ai generativeai genai gen-ai",
    SAGEMAKER: "aws amazon aws-sagemaker amazon-sagemaker sagemaker-endpoint sagemaker-runtime sage-maker",
    MODELARTS: "huawei huawei-cloud huaweicloud huawei-modelarts huaweicloud-modelarts model-arts maas modelarts-maas",
}
_NAMES_BY_SPELLING = {name: name for name in PLATFORM_NAMES} | {
    alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()
}


def parse_platform_name(text: str) -> str:
    """Return the platform's name for any accepted spelling.

    >>> parse_platform_name("oci_genai"), parse_platform_name("AWS")
    ('oci-genai', 'sagemaker')

    Raises:
        ArgumentTypeError: The name is unknown. The message suggests the nearest ones.
    """
    spelling = re.sub(r"[\s_.-]+", "-", text.strip().lower())
    if (name := _NAMES_BY_SPELLING.get(spelling)) is not None:
        return name
    near = [name for name in PLATFORM_NAMES if spelling and name.startswith(spelling)]
    near = near or [_NAMES_BY_SPELLING[match] for match in get_close_matches(spelling, _NAMES_BY_SPELLING, 2)]
    hint = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else f"use one of {', '.join(PLATFORM_NAMES)}"
    raise argparse.ArgumentTypeError(f"unknown platform {text!r} (hint: {hint})")
