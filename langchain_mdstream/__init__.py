"""mdstream for LangChain."""
