"""Whether a call of a model has callback handlers. Without one, most of LangChain's work in a call has no effect.

In each call LangChain collects the parameters for traces, starts a run, stores and merges all chunks of a stream, and
builds results that contain each other. Only callback handlers use these, and they take longer than the HTTP request. So
without a handler the models call `_generate` and `_stream` directly: their messages and chunks are the same.

`CallbackManager.configure` finds the handlers: those of the call, of the model and of the run around it, of tracers
(environment, context variables), of the debug and verbose modes, and of packages that add theirs to every manager. If a
package has replaced a method that is left out, or a subclass overrides it, LangChain's own path is used.
"""

import sys
from collections.abc import Mapping
from types import FunctionType
from typing import Any
from uuid import UUID
from weakref import WeakSet

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.callbacks.manager import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.runnables.config import RunnableConfig, ensure_config
from langchain_core.utils.uuid import uuid7

#: Arguments of a call that have a meaning in LangChain's methods, which reject some of them.
_LANGCHAIN_ARGUMENTS = frozenset(
    "callbacks messages metadata new_arg_supported prompts run_id run_manager run_name tags".split()
)

#: Methods that call the handlers. Packages that trace all calls may replace them.
_HANDLER_METHODS = {
    CallbackManager: ("on_chat_model_start", "on_llm_start"),
    AsyncCallbackManager: ("on_chat_model_start", "on_llm_start"),
    CallbackManagerForLLMRun: ("on_llm_new_token", "on_llm_end", "on_llm_error"),
    AsyncCallbackManagerForLLMRun: ("on_llm_new_token", "on_llm_end", "on_llm_error"),
}


class OriginalMethods:
    """Find out whether the methods that calls without callback handlers leave out are LangChain's own.

    Args:
        owner: The model class that has the shorter methods.
        base: LangChain's base class of it.
        left_out: For each shorter method, the method of the owner that it calls instead, and those that it leaves out.
    """

    def __init__(self, owner: type, base: type, left_out: Mapping[str, tuple[str, ...]]) -> None:
        self._owner = owner
        self._names = {name for names in left_out.values() for name in names} | left_out.keys()
        #: Classes without another base class that has one of the methods.
        self._plain: WeakSet[type] = WeakSet()
        self._inherited = {
            name: [(one, getattr(owner, one, None)) for one in names] for name, names in left_out.items()
        }
        source = getattr(sys.modules[base.__module__], "__file__", None)
        handler_methods = [_Function(vars(kind), one) for kind, names in _HANDLER_METHODS.items() for one in names]
        self._functions = {
            name: [_Function(vars(base), one, source) for one in (name, *others)] + handler_methods
            for name, (_, *others) in left_out.items()
        }

    def are_used(self, name: str, kind: type) -> bool:
        """Whether a class inherits what its method `name` calls or leaves out, and nobody has replaced it."""
        # Loops, because they are faster than `all`, and each call pays for them.
        for one, inherited in self._inherited[name]:
            if getattr(kind, one, None) is not inherited:
                return False
        for function in self._functions[name]:
            found = function.namespace.get(function.name)
            if type(found) is not FunctionType or found.__code__ is not function.code:
                return False
        return kind in self._plain or self._is_plain(kind)

    def _is_plain(self, kind: type) -> bool:
        """Whether no other base class of a class has one of the methods, which `super()` of the owner would find."""
        others = set(kind.__mro__) - set(self._owner.__mro__)
        behind = kind.__mro__[kind.__mro__.index(self._owner) :]
        if any(one in others and not self._names.isdisjoint(vars(one)) for one in behind):
            return False
        self._plain.add(kind)
        return True


class _Function:
    """A function of a class, and its code; `None` if another version of LangChain does not have it.

    Args:
        namespace: The attributes of the class: a view.
        name: The name of the function.
        source: The file that it is from. A function from another file has replaced it before this module was imported.
    """

    __slots__ = ("code", "name", "namespace")

    def __init__(self, namespace: Mapping[str, Any], name: str, source: str | None = None) -> None:
        self.namespace, self.name = namespace, name
        found = namespace.get(name)
        code = found.__code__ if type(found) is FunctionType else None  # an object that wraps it has its code, too
        self.code = code if code is not None and source in {None, code.co_filename} else None


def find_run_id(model: Any, name: str, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> UUID | None:
    """Return the id of the run of a call without callback handlers; `None` if LangChain's own path has to be used.

    Args:
        model: The model; its class has `_original_methods`.
        name: The name of the called method, such as `ainvoke`.
        config: The configuration of the call.
        kwargs: Further arguments of the call.
    """
    if kwargs and not _LANGCHAIN_ARGUMENTS.isdisjoint(kwargs):
        return None
    if (name.endswith("invoke") and _uses_cache(model)) or not model._original_methods.are_used(name, type(model)):
        return None
    config = ensure_config(config)
    of_call, of_model = config.get("callbacks"), model.callbacks
    if getattr(of_call, "handlers", of_call) or getattr(of_model, "handlers", of_model):
        return None
    managers = AsyncCallbackManager if name.startswith("a") else CallbackManager
    if managers.configure(of_call, of_model, model.verbose).handlers:
        return None
    run_id: Any = config.get("run_id")
    if run_id is None:
        return uuid7()
    return run_id if isinstance(run_id, UUID) else None  # LangChain rejects others


def _uses_cache(model: Any) -> bool:
    """Whether LangChain looks the response up in a cache, or raises because there is none."""
    return not (model.cache is False or (model.cache is None and get_llm_cache() is None))
