"""What search adds to straight paths, and at which cost: every method, prototype kind, potential and number."""
