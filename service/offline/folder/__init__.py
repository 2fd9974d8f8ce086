"""The folder that an audit writes and resumes from."""
