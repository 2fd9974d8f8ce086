"""What is said of images that cannot be read."""

CHANGED = "the file changed after it was listed; audit it again"

NOT_ALLOWED = "it is behind a URL, and those are not read; allow them with --allow-urls"

CUT_OFF = "the archive ends in the middle of it"


def too_large(n_bytes: int, most: int) -> str:
    """Of an image that is larger than may be decoded."""
    return f"the file has {n_bytes} bytes and at most {most} are read; make the image smaller"
