"""Settings: the one table of each command, and how flags, variables and files are read by it."""
