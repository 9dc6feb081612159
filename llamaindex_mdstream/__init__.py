"""mdstream for LlamaIndex."""
