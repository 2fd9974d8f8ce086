"""What all rows together say."""
