"""Models nobody wrote for framelift, at small size with random weights: one graph each, equal to eager."""
