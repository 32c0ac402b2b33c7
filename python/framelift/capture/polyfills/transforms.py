"""Function transforms of ``torch.func``: what they give is a function, whose call is one node of the graph.

https://docs.pytorch.org/docs/stable/func.api.html
"""

from __future__ import annotations

import torch

from framelift.capture.polyfills.registry import apply_transform, polyfill


@polyfill(torch.func.grad)
def grad(func, argnums=0, has_aux=False):
    return transformed(torch.func.grad, func, {"argnums": argnums, "has_aux": has_aux})


@polyfill(torch.func.grad_and_value)
def grad_and_value(func, argnums=0, has_aux=False):
    return transformed(torch.func.grad_and_value, func, {"argnums": argnums, "has_aux": has_aux})


@polyfill(torch.func.vmap)
def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    options = {"in_dims": in_dims, "out_dims": out_dims, "randomness": randomness, "chunk_size": chunk_size}
    return transformed(torch.func.vmap, func, options)


@polyfill(torch.func.jacrev)
def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None):
    options = {"argnums": argnums, "has_aux": has_aux, "chunk_size": chunk_size}
    return transformed(torch.func.jacrev, func, options)


@polyfill(torch.func.jacfwd)
def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    options = {"argnums": argnums, "has_aux": has_aux, "randomness": randomness}
    return transformed(torch.func.jacfwd, func, options)


@polyfill(torch.func.hessian)
def hessian(func, argnums=0):
    return transformed(torch.func.hessian, func, {"argnums": argnums})


def transformed(transform, func, options):
    """``transform(func, **options)``, which does nothing before it is called."""

    def call(*args, **kwargs):
        return apply_transform(transform, func, options, args, kwargs)

    return call
