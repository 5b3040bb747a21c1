"""Why there is no reference for a model."""


class CannotStand(Exception):
    """There is no reference for a model; the message says why, in one line."""
