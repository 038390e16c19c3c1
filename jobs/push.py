"""`python -m jobs.push` is `xlret push`."""

from xlret.commands.app import run

if __name__ == "__main__":
    run("push")
