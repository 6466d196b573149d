"""What the engine raises when its input can't be used."""


class EngineError(Exception):
    """Base of every error that the engine raises on purpose."""


class InvalidInputError(EngineError, ValueError):
    """An argument breaks a stated condition; the message carries the offending value."""


class EmptyInputError(EngineError, ValueError):
    """There is nothing to learn from or to measure."""


class NumericalError(EngineError, ArithmeticError):
    """A decomposition failed although the input was well formed."""
