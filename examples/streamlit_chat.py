"""A Streamlit chat that shows the partial answer and one sentence when a stream fails.

pip install streamlit "mdstream-llm[langchain]"
MDSTREAM_ENDPOINT=https://… streamlit run examples/streamlit_chat.py
"""

import os
from collections.abc import Iterator

import streamlit as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import MDStreamError


@st.cache_resource
def connect() -> ChatOCIModelDeployment:
    """Create the model object once; all sessions share its connections."""
    return ChatOCIModelDeployment(
        endpoint=os.environ["MDSTREAM_ENDPOINT"], auth_type=os.environ.get("MDSTREAM_AUTH_TYPE", "none")
    )


def stream_text(messages: list[BaseMessage], parts: list[str]) -> Iterator[str]:
    """Yield the answer's text, and append it to `parts`."""
    for chunk in connect().stream(messages):
        parts.append(chunk.text)
        yield chunk.text


def answer(messages: list[BaseMessage]) -> None:
    """Stream the answer to the page, and add what has arrived to the conversation, however the stream ends."""
    parts: list[str] = []
    failure = None
    try:
        st.write_stream(stream_text(messages, parts))
    except MDStreamError as error:
        failure = f"The answer was interrupted ({error.code or type(error).__name__})."
        st.warning(failure)
    finally:  # Streamlit ends the script with an exception when the user leaves, stops it or sends another message
        messages.append(AIMessage("".join(parts), additional_kwargs={"failure": failure}))


st.title("Chat")
messages = st.session_state.setdefault("messages", [])
for message in messages:
    with st.chat_message("user" if isinstance(message, HumanMessage) else "assistant"):
        st.write(message.text)
        if failure := message.additional_kwargs.get("failure"):
            st.warning(failure)

if prompt := st.chat_input("Message"):
    messages.append(HumanMessage(prompt))
    st.chat_message("user").write(prompt)
    with st.chat_message("assistant"):
        answer(messages)
