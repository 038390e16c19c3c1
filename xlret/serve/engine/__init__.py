"""What a search does, from the question to its hits; knows neither HTTP nor Ray."""
