"""`python -m xlret` is `xlret`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run()
