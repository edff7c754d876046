"""What holds for all tests: property tests are not failed for the speed of the machine they run on."""

from hypothesis import HealthCheck, settings

settings.register_profile("gantry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gantry")
