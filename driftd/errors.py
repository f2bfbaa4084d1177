"""What can go wrong outside, split by what the caller does: again, or never again."""


class DriftdError(Exception):
    """Something that driftd can name went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class MistakeError(DriftdError):
    """The person's input is wrong; the message says what to do next."""


class OutsideError(DriftdError):
    """An outside system did not do what was asked."""


class UnreachableError(OutsideError):
    """It could not be reached; the command will be tried again."""


class RefusedError(OutsideError):
    """It answered no; the command will not be tried again."""
