"""The drawn study: a body whose truth is known."""
