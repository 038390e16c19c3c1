"""`python -m jobs.sweep` is `xlret sweep`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("sweep")
