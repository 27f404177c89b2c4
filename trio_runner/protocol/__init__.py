"""The task-runner protocol: messages, their codec, identifiers. No I/O, no trio."""
