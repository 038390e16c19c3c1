"""Taking the language out of vectors, without training."""
