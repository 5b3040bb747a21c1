"""The one error of this room."""


class StoreError(ValueError):
    """A run that cannot be found, read or written: one line for the user."""
