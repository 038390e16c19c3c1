"""`python -m jobs.prepare` is `xlret prepare`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("prepare")
