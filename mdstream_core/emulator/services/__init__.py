"""The services of the emulated cloud, told apart by path."""
