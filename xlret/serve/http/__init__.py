"""The border: requests checked, answers and errors as JSON, the page."""
