//! Places in the program, for the tracebacks of exceptions that were raised inside of a graph.

use crate::frames::ffi::{framelift_add_traceback_entry, framelift_frame_at};
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCode, PyDict};

/// `frame_at(code, offset) -> frame`: a frame object that stands at the instruction at `offset`, and has no locals.
#[pyfunction]
#[pyo3(signature = (code, offset, /))]
pub fn frame_at<'py>(code: &Bound<'py, PyCode>, offset: u32) -> PyResult<Bound<'py, PyAny>> {
    let py = code.py();
    let globals = PyDict::new(py);
    let unit = (offset / 2) as i32;
    // SAFETY: a code object and a dictionary, which are held; the result is owned, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, framelift_frame_at(code.as_ptr(), globals.as_ptr(), unit)) }
}

/// The exception that is set has passed through where the frame object `frame`, which is taken over, stands.
///
/// # Safety
/// The thread is attached, and an exception is set.
#[cold]
pub unsafe fn add_traceback_entry(frame: Object) {
    // SAFETY: the caller's promise; the frame object is ours.
    unsafe {
        framelift_add_traceback_entry(frame);
        ffi::Py_DECREF(frame);
    }
}
