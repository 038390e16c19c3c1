"""`python -m jobs.soup` is `xlret soup`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("soup")
