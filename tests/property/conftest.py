"""Hypothesis: modest by default, `HYPOTHESIS_PROFILE=thorough` for more."""

import os

from hypothesis import HealthCheck, settings

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("modest", deadline=None, max_examples=300, suppress_health_check=_CHECKS)
settings.register_profile("thorough", deadline=None, max_examples=3000, suppress_health_check=_CHECKS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "modest"))
