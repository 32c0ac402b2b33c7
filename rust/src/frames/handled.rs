//! The exception that the thread is handling: a part of a frame's state that is not in the frame.

use crate::frames::ffi::{framelift_handled_exception, framelift_set_handled_exception};
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyNone;
use std::ffi::c_int;

/// The handled exception or None, borrowed from the thread. `beyond`: outside the generator that runs innermost.
///
/// # Safety
/// The thread is attached.
#[inline]
pub unsafe fn handled_exception(beyond: bool) -> Object {
    // SAFETY: the caller's promise.
    unsafe {
        let exception = framelift_handled_exception(c_int::from(beyond));
        if exception.is_null() {
            ffi::Py_None()
        } else {
            exception
        }
    }
}

/// `handled_exception(beyond=False) -> exception | None`
#[pyfunction(name = "handled_exception")]
#[pyo3(signature = (beyond=false, /))]
pub fn get(py: Python<'_>, beyond: bool) -> Bound<'_, PyAny> {
    // SAFETY: attached; the new reference holds what the thread may let go.
    unsafe { Bound::from_borrowed_ptr(py, handled_exception(beyond)) }
}

/// `set_handled_exception(exception | None) -> previous | None`: what a segment leaves as handled when it ends in
/// another handler than it began in.
#[pyfunction(name = "set_handled_exception")]
#[pyo3(signature = (exception, /))]
pub fn set<'py>(exception: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    let py = exception.py();
    // SAFETY: a new reference goes in, and what was there comes out as one.
    unsafe {
        let before = framelift_set_handled_exception(ffi::Py_NewRef(exception.as_ptr()));
        Bound::from_owned_ptr_or_opt(py, before).unwrap_or_else(|| PyNone::get(py).to_owned().into_any())
    }
}
