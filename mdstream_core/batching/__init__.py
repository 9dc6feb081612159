"""Many inputs in several requests: `plan` splits the inputs into batches, `execute` sends the batches concurrently."""
