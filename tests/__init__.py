"""The tests of framelift: one folder per room, and programs, exits and models that go through all rooms."""
