"""`python -m jobs.corpus` is `xlret corpus`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("corpus")
