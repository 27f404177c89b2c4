"""The requester: submits tasks to a broker and awaits their results."""
