"""What keeps running: the daemons of ``run`` and ``broker``, their signals, health endpoint and ends."""
