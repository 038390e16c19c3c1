"""`python -m jobs.release` is `xlret release`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("release")
