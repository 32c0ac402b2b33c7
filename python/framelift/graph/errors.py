"""Why a call could not be put into a graph. Each carries what was raised underneath."""

from __future__ import annotations


class CallFailed(Exception):
    """A call that gives no node: ``target`` names it, ``original`` is the exception that it raised."""

    def __init__(self, original: BaseException, target: str, description: str) -> None:
        super().__init__(f"{target}: {description}")
        self.original = original
        self.target = target
        self.description = description


class OperatorError(CallFailed):
    """The operator refuses its arguments, as it does on real tensors.

    The type of ``original`` is eager's in nearly every case, its text is not always: fake kernels have words
    of their own. Who shows an error to the user lets CPython raise it.
    """


class DataDependent(CallFailed):
    """The result is not known without the numbers in a tensor: ``item``, ``nonzero``, ``bool``."""


class UnsupportedOperator(CallFailed):
    """Fake tensors have no answer, or the result is not something that can stand in a graph."""
