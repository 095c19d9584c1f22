"""Rust tests that need a server, run by pytest tests that start one."""

TEST = ["cargo", "test", "--locked", "--workspace", "--all-features"]
"""As scripts/test builds them: with other packages or features cargo would compile all of it once more."""
