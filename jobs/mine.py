"""`python -m jobs.mine` is `xlret mine`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("mine")
