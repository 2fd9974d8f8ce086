"""What a user of the service can get wrong about files and options."""


class InputError(ValueError):
    """An input could not be used; the message says what was expected, what came and what to do about it."""
