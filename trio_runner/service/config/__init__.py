"""The command ``trio-runner config``: what is in force and where it came from, and a file to start from."""
