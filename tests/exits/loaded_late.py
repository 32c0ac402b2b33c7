"""A module that is imported while a program runs."""

FACTOR = 2.0
