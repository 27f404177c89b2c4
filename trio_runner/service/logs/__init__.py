"""The logs of a daemon: which events become lines, and how lines are written."""
