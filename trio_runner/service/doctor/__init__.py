"""``trio-runner doctor``: which walls this machine has, found out by trying to break through them."""
