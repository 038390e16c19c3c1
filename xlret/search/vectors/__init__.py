"""Passages as vectors: encoding them in bulk and keeping them."""
