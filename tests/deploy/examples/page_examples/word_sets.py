"""Sets of words, written as people read them."""


def words_of(text: str) -> frozenset[str]:
    """The words between the spaces of a text."""
    return frozenset(text.split())
