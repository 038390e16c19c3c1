"""`python -m jobs.copy` is `xlret copy`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("copy")
