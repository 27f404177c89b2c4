"""The runner: sessions with brokers, offers, task scopes."""
