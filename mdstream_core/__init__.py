"""The framework-neutral core of mdstream."""
