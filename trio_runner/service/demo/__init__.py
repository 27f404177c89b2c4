"""``trio-runner demo``: real work through a broker and a runner on this machine."""
