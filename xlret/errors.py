"""Errors that a user can act on: one line that says what was wrong, the value, what is allowed and what to do."""


class UserError(ValueError):
    """Something the user gave cannot be used. Jobs print it as one line and exit with status 2.

    >>> str(UserError("plan.alpha is 1.5; allowed is 0 to 1"))
    'plan.alpha is 1.5; allowed is 0 to 1'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (str(self),)  # survives Ray's process borders


class DataError(UserError):
    """A row or file of the user's data is bad; the message starts with `file:line:`."""


class CorruptError(UserError):
    """A file does not match its manifest (size or checksum)."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM was sent (as `ray job stop` does) to a command that ends as it does at Ctrl-C: what is done is kept and told."""


def user_error_in(error: BaseException) -> UserError | None:
    """The `UserError` that an error is, wraps or was caused by, however deep Ray has wrapped it."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        if isinstance(cause, UserError):
            return cause
        seen.add(id(cause))
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "cause", None)]
        waiting += getattr(cause, "worker_failures", {}).values()
    return None
