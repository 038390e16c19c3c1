"""Languages, words, lexicons and code-switching: plain functions, no Ray."""
