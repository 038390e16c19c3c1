"""`python -m jobs.export` is `xlret export`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("export")
