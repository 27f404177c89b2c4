"""The broker's decisions: requests, offers and tasks, from a request to its end. No I/O in here."""
