"""The files of this folder import one another by name, also when pytest runs them."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
