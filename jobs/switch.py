"""`python -m jobs.switch` is `xlret switch`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("switch")
