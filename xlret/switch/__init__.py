"""Code-switching: words of a text in other languages."""
