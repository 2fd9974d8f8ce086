"""From listed items to their bytes, wherever they lie."""
