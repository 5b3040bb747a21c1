"""What a circuit or a layer says when it cannot work: one line."""


class CircuitError(ValueError):
    """A circuit that cannot work, said in one line."""


class UnsupportedError(CircuitError):
    """A device, method or mode that cannot run this circuit, said in one line before PennyLane says it obscurely."""


def one_line(error: BaseException) -> str:
    """An exception as one line for a user."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
