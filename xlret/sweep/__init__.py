"""Many trainings side by side, and the table that compares them."""
