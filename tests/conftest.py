"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machines that run the tests are shared: how long one example takes says nothing about the code.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time, so that a change fails by what it changes and not by the luck of the draw.
settings.register_profile("repeatable", _PATIENT, derandomize=True)
# Other examples each time, and more of them, to look for what nobody has thought of: give pytest
# --hypothesis-profile=search
settings.register_profile("search", _PATIENT, max_examples=1000)
settings.load_profile("repeatable")
