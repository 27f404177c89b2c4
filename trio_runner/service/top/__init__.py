"""The live view of a daemon in a terminal."""
