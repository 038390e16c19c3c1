"""Thin entry points: each job reads a recipe, calls the library and writes files."""
