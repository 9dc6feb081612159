"""The authentication that `ads.set_auth` of oracle-ads has chosen, as the options of `resolve_signer`.

oracle-ads is never imported here: a program that has called `ads.set_auth` has imported it.
Source: oracle-ads 2.16.1, `ads/common/auth.py`, `AuthState` and `set_auth`.
"""

import sys
from pathlib import Path
from typing import Any

#: Methods of `set_auth` that read a profile of the config file.
_WITH_PROFILE = frozenset({"api_key", "security_token"})


def find_ads_options() -> dict[str, Any] | None:
    """Return the options of `resolve_signer` for what `ads.set_auth` has chosen; `None` if there is no choice.

    The signer that was passed to `set_auth` is used first, then its function that creates one, then its config, then
    the method. Without `set_auth` the choice of oracle-ads is an API key, which counts if there is a config file.
    """
    module = sys.modules.get("ads.common.auth")
    if module is None or not hasattr(module, "AuthState"):
        return None
    state = module.AuthState()
    if state.oci_signer is not None:
        return {"auth": state.oci_signer}
    if state.oci_signer_callable is not None:
        return {"auth": state.oci_signer_callable(**(state.oci_signer_kwargs or {}))}
    method = str(getattr(state.oci_iam_type, "value", state.oci_iam_type))
    return _profile_options(state, method) if method in _WITH_PROFILE else {"auth_type": method}


def _profile_options(state: Any, method: str) -> dict[str, Any] | None:
    config = state.oci_config or {}
    if config.keys() - {"region"}:  # a region alone is the environment's, `OCI_RESOURCE_REGION`
        return {"auth": {"config": dict(config)}}
    path = Path(state.oci_config_path).expanduser()
    if not path.exists():
        return None
    return {"auth_type": method, "auth_profile": state.oci_key_profile, "auth_file_location": str(path)}
