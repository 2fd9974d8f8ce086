"""Looking at what an audit found: a page on this machine, and copies of what it shows."""
