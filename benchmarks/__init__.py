"""Measurements of the promises in docs/, each against a floor taken in the same run."""
