"""`python -m jobs.compare` is `xlret compare`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("compare")
