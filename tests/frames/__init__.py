"""Frames: calls that stop inside a function, in the frame that CPython made for them."""
