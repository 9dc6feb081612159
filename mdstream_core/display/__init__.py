"""Display streams while they are received: in a notebook, in a terminal, or as plain text in a pipe.

Shows text, tool calls, the time to the first token and tokens per second. A failure is explained, and the received text
stays visible. Accepts events of `Client.stream`, chunks of LangChain and responses of LlamaIndex:

    message = show(chat.stream("Name three rivers."))
    response = show(llm.stream_chat(messages))
    response = await ashow(llm.astream_chat(messages))

Terminals use rich if it is installed (`pip install "mdstream-llm[display]"`). Neither rich nor IPython is required.
"""

from mdstream_core.display._plain import PlainTextView
from mdstream_core.display._show import View, ashow, create_view, show
from mdstream_core.display._summary import Summary

__all__ = ["PlainTextView", "Summary", "View", "ashow", "create_view", "show"]
