"""When a call of a model has no observer, and needs nothing that LangChain builds for observers only.

In each call LangChain collects the parameters for traces, starts a run, stores and merges all chunks of a stream, and
builds results that contain each other. Without a callback handler nobody sees them, and they take longer than the HTTP
request. The models then call `_generate` and `_stream` directly: their messages and chunks are the same.

LangChain itself finds the handlers, with `CallbackManager.configure`: those of the call, of the model and of the run
around it, of tracers (environment, context variables), of the debug and verbose modes, and of packages that add theirs
to every manager. If a package has replaced a method that is left out, or a subclass overrides it, LangChain's own path
is used.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.globals import get_llm_cache
from langchain_core.runnables.config import RunnableConfig, ensure_config
from langchain_core.utils.uuid import uuid7

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.callbacks import AsyncCallbackManager, CallbackManager


class OriginalMethods:
    """Find out whether the methods that unobserved calls leave out are LangChain's own.

    Args:
        owner: The model class that has the shorter methods.
        base: LangChain's base class of it.
        left_out: For each shorter method, the method of the owner that it calls instead, and those that it leaves out.
    """

    def __init__(self, owner: type, base: type, left_out: Mapping[str, tuple[str, ...]]) -> None:
        self._owner = owner
        self._base = vars(base)  # a view
        self._left_out = left_out
        source = base._convert_input.__code__.co_filename  # type: ignore[attr-defined]
        self._codes: dict[str, list[tuple[str, Any]]] = {}
        for name, (_, *others) in left_out.items():
            codes = [(one, getattr(self._base[one], "__code__", None)) for one in (name, *others)]
            self._codes[name] = [
                (one, code if code and code.co_filename == source else _REPLACED) for one, code in codes
            ]

    def are_used(self, name: str, kind: type) -> bool:
        """Whether a class inherits what its method `name` calls or leaves out, and nobody has replaced the latter."""
        owner, base = self._owner, self._base
        for one in self._left_out[name]:  # loops, because they are faster than `all`, and each call pays for them
            if getattr(kind, one) is not getattr(owner, one):
                return False
        for one, code in self._codes[name]:  # noqa: SIM110
            if getattr(base[one], "__code__", None) is not code:
                return False
        return True


#: Instead of the code of a method that had been replaced before this module was imported: equal to none.
_REPLACED = object()


def find_run_id(
    model: Any, config: RunnableConfig | None, managers: "type[CallbackManager | AsyncCallbackManager]"
) -> "UUID | None":
    """Return the id of the run of a call without observers; `None` if it has one.

    Args:
        model: A model of LangChain.
        config: The configuration of the call.
        managers: LangChain's class of callback managers that configures them.
    """
    config = ensure_config(config)
    of_call, of_model = config.get("callbacks"), model.callbacks
    if getattr(of_call, "handlers", of_call) or getattr(of_model, "handlers", of_model):
        return None
    if managers.configure(of_call, of_model, model.verbose).handlers:
        return None
    return config.get("run_id") or uuid7()


def uses_cache(model: Any) -> bool:
    """Whether LangChain looks the response up in a cache, or raises because there is none."""
    return not (model.cache is False or (model.cache is None and get_llm_cache() is None))
