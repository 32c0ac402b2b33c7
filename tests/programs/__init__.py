"""Programs by topic, each run in CPython and compiled; every test states the graphs and breaks it expects."""
