"""The capture room: a frame is run symbolically to get a graph, guards, effects and an exit.

``capture_segment`` starts from the bound arguments of a call, before any frame exists, or from the state of a
frame in its middle. The code object is decoded into version-independent instructions (``decode``), and the
interpreter runs them over values (``values``), following Python's data model (``datamodel``). Python code is
inlined, whoever wrote it. C functions are covered by ``polyfills`` (plain Python), ``natives`` (handlers) and
``torch_calls``; tensor operations become nodes of the graph. What is looked at of the outside world is
guarded; what is written to it is logged (``effects``) and replayed by the exit (``exits``). Capture itself
changes nothing outside, also when it fails halfway.

Whatever can't be captured raises ``Break`` with a reason, at the instruction that could not be done.
"""

from framelift.capture.policy import Policy
from framelift.capture.start import Captured, CaptureFailed, ResumePoint, capture_segment

__all__ = ["CaptureFailed", "Captured", "Policy", "ResumePoint", "capture_segment"]
