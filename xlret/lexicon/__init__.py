"""Bilingual lexicons: reading, making and transforming them."""
