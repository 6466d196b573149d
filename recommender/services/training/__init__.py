"""Runs: from facts to published artifacts."""
