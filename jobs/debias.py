"""`python -m jobs.debias` is `xlret debias`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("debias")
