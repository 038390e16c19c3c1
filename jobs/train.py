"""`python -m jobs.train` is `xlret train`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("train")
