"""`python -m jobs.variants` is `xlret variants`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("variants")
