"""How the service fails.

Errors:
    InputError                a caller can put it right; says what was expected, what came, what to do
    ├── TooLargeError         more bytes, pixels, files or members than is allowed
    ├── UnsupportedMediaError a body in a form that is not spoken
    └── NotFoundError         no such bundle, audit or verdict
    RequestError              it cannot be answered now, through no fault of the caller
    ├── OverloadedError       no place is free; says when to come again
    ├── DeadlineError         its time was up before the answer was there
    ├── ClientGoneError       nobody waits for the answer any more
    └── EngineError           the device failed, or has no memory for it
"""


def one_line(error: BaseException, longest: int = 400) -> str:
    """What an exception says, without line breaks and at no great length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= longest else text[: longest - 1] + "…"


class InputError(ValueError):
    """An input could not be used; the message says what was expected, what came and what to do about it."""


class TooLargeError(InputError):
    """An input is larger than what is allowed."""


class UnsupportedMediaError(InputError):
    """An input came in a form that is not spoken here."""


class NotFoundError(InputError):
    """What was asked for by name is not there."""


class RequestError(RuntimeError):
    """A good request that cannot be answered now."""


class OverloadedError(RequestError):
    """Every place is taken.

    Attributes:
        retry_after: seconds after which there is likely to be one.
        reason: what metrics count it under.
    """

    def __init__(self, message: str, *, retry_after: float, reason: str = "queue") -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class DeadlineError(RequestError):
    """The time that a request gave was up before its answer was there."""


class ClientGoneError(RequestError):
    """Whoever asked does not wait for the answer any more."""


class EngineError(RequestError):
    """The device could not compute the answer."""
