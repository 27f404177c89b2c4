"""What a daemon tells of itself, and the local socket over which it is asked and told."""
