"""Metrics for Prometheus, by its official client library."""
