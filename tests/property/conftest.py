"""Hypothesis: modest and repeatable by default, `HYPOTHESIS_PROFILE=thorough` for more, and other, cases."""

import os

from hypothesis import HealthCheck, settings

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
# The same cases every time: a change fails for what it changed, and not by chance.
settings.register_profile("modest", deadline=None, max_examples=300, derandomize=True, suppress_health_check=_CHECKS)
settings.register_profile("thorough", deadline=None, max_examples=3000, suppress_health_check=_CHECKS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "modest"))
