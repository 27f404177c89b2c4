"""The daemon shell: command line, settings, signals, health endpoint, logs."""
