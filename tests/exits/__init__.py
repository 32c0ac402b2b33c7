"""One program for each reason for which a segment ends before its function does; see programs.py."""
