"""The one error of this room."""


class EnvironmentProblem(Exception):
    """An environment that cannot be made, or a question that the package index does not answer: one line."""
