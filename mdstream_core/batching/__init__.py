"""Many inputs in several requests: `plan` cuts them into batches, `execute` sends the batches at the same time."""
