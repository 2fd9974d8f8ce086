"""Paths that stand outside of a rule, as they are written once decoded. No prefixes: what is not named is not meant."""

HEALTH_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Answered without a key and under any load, for whoever restarts and routes."""

METRICS_PATH = "/metrics"

PAGE_PATHS = frozenset({"/", "/docs"})
PAGE_FOLDERS = ("/assets/", "/docs/")
"""What a browser shows to people."""
