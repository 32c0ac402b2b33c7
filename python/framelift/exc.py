"""Exceptions that framelift raises, also under the names that ``torch._dynamo.exc`` has for them.

All are ``FrameliftError``, a ``RuntimeError``; each has its row of ``observe.reasons`` as ``reason``. An
exception of the compiled program itself is never wrapped.
"""

from framelift.observe.errors import (
    BackendFailed,
    ConstraintViolated,
    FrameliftError,
    InternalError,
    LimitReached,
    Misuse,
    Recompiled,
    UnknownBackend,
    UnknownSetting,
    Unsupported,
)

TorchDynamoException = FrameliftError
InternalTorchDynamoError = InternalError
BackendCompilerFailed = BackendFailed
InvalidBackend = UnknownBackend
RecompileError = Recompiled
ConstraintViolationError = ConstraintViolated
FailOnRecompileLimitHit = LimitReached
RecompileLimitExceeded = LimitReached
UserError = Misuse

__all__ = [
    "BackendCompilerFailed",
    "BackendFailed",
    "ConstraintViolated",
    "ConstraintViolationError",
    "FailOnRecompileLimitHit",
    "FrameliftError",
    "InternalError",
    "InternalTorchDynamoError",
    "InvalidBackend",
    "LimitReached",
    "Misuse",
    "RecompileError",
    "RecompileLimitExceeded",
    "Recompiled",
    "TorchDynamoException",
    "UnknownBackend",
    "UnknownSetting",
    "Unsupported",
    "UserError",
]
