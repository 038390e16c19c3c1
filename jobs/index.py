"""`python -m jobs.index` is `xlret index`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("index")
