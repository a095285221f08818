"""Range checks whose errors are one sentence."""


def require_share(name: str, value: float) -> None:
    """Refuse a number outside [0, 1].

    Args:
        name: what the error calls it.
        value: to check.

    Raises:
        ValueError: if it lies outside.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}; correct {name}.")


def require_at_least(name: str, value: float, least: float) -> None:
    """Refuse a number below `least`.

    Args:
        name: what the error calls it.
        value: to check.
        least: smallest allowed value.

    Raises:
        ValueError: if it is smaller, or no number.
    """
    if not value >= least:
        raise ValueError(f"{name} must be at least {least:g}, got {value}; correct {name}.")
