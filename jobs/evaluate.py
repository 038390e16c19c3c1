"""`python -m jobs.evaluate` is `xlret evaluate`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("evaluate")
