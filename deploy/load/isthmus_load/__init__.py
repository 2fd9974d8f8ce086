"""Open-loop load against a deployed service, and whether it kept its promises. The standard library is all it needs."""
