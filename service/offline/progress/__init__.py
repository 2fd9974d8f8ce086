"""What is said of an audit while it runs."""
