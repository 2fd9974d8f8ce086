"""What an operator can put right."""


class UsageError(Exception):
    """Told in one sentence; exit code 2."""
