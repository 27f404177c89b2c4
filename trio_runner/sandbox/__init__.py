"""What runs in the child process: standard library only, nothing of the package above this folder."""
