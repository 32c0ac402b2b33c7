"""Python's data model over values: attributes, calls, operators, items, iteration, text.

Each module follows a chapter of the language reference and works on the *real* types of the values. Every
function takes the interpreter first.
"""
