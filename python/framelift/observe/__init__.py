"""Observe: what framelift says about what it did.

``reasons`` is the table of everything it can give up on, ``errors`` how a row becomes an exception,
``counters`` what happened how often, ``records`` what each capture did, ``explain`` a report of it, ``logs``
an account of each step. Every room may import them; none of them imports a room.
"""
