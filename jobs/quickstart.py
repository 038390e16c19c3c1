"""`python -m jobs.quickstart` is `xlret quickstart`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("quickstart")
