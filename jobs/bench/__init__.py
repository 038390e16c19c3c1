"""The parts of `python -m jobs.benchmark`, one question each."""
