"""A busy machine is no reason for a property to fail: no wall-clock deadline per example."""

from hypothesis import settings

settings.register_profile("engine", deadline=None)
settings.load_profile("engine")
