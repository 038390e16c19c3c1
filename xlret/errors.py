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


def user_error_in(error: BaseException) -> UserError | None:
    """The `UserError` that an error is, wraps or was caused by, however deep Ray has wrapped it."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        if isinstance(one, UserError):
            return one
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__, getattr(one, "cause", None), *getattr(one, "worker_failures", {}).values()]
    return None
