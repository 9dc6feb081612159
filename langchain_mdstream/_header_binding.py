"""A binding of LangChain that hides the values of headers. It is apart, because few programs bind arguments."""

from typing import Any, cast

from langchain_core.runnables import RunnableBinding

from langchain_mdstream._call_headers import hide_headers


class HidingBinding(RunnableBinding[Any, Any]):  # type: ignore[no-redef]  # it has a field `kwargs`
    """Binding that wraps headers in further bindings too. It is serialized as LangChain's own class."""

    @classmethod
    def lc_id(cls) -> list[str]:
        """Return the id of LangChain's class, which loads it."""
        return [*cls.get_lc_namespace(), "RunnableBinding"]

    def bind(self, **kwargs: Any) -> "HidingBinding":
        """Bind more arguments."""
        return cast(HidingBinding, super().bind(**hide_headers(kwargs)))
