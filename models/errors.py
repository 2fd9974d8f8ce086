"""What a user can get wrong about a classifier."""


class ModelError(ValueError):
    """A classifier could not be built, loaded or trained; the message says what to do about it."""
