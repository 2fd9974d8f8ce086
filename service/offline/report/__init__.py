"""The page on what an audit found."""
