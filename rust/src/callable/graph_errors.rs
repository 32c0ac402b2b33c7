//! Graphs that raised and whose call CPython ran instead: the exception is dropped, and counted by Python.

use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The hook, an owned reference or null. Read and written under the GIL.
static HOOK: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());

/// `set_graph_error_hook(hook | None) -> previous | None`. The hook is called as
/// `hook(callable, entry, exception)` before CPython runs the call.
#[pyfunction]
#[pyo3(signature = (hook, /))]
pub fn set_graph_error_hook(py: Python<'_>, hook: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
    let pointer = hook.map_or(null_mut(), Py::into_ptr);
    let previous = HOOK.swap(pointer, Ordering::Relaxed);
    // SAFETY: the reference that the static held is ours now.
    unsafe { Bound::from_owned_ptr_or_opt(py, previous) }.map(Bound::unbind)
}

/// The question whether a graph that raised may be repeated, an owned reference or null. As `HOOK`.
static QUESTION: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());

/// `set_repeat_question(question | None) -> previous | None`. `question()` says whether CPython may repeat on
/// this thread what a graph that has raised was doing.
#[pyfunction]
#[pyo3(signature = (question, /))]
pub fn set_repeat_question(py: Python<'_>, question: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
    let pointer = question.map_or(null_mut(), Py::into_ptr);
    let previous = QUESTION.swap(pointer, Ordering::Relaxed);
    // SAFETY: the reference that the static held is ours now.
    unsafe { Bound::from_owned_ptr_or_opt(py, previous) }.map(Bound::unbind)
}

/// Whether what a graph was doing when it raised may be repeated. The exception that is set stays set.
///
/// # Safety
/// The thread is attached and an exception is set.
#[cold]
pub unsafe fn may_be_repeated() -> bool {
    Python::attach(|py| {
        // SAFETY: the question is held while it runs.
        let question = unsafe { Bound::from_borrowed_ptr_or_opt(py, QUESTION.load(Ordering::Relaxed)) };
        let Some(question) = question else {
            return true;
        };
        let Some(exception) = PyErr::take(py) else {
            return true;
        };
        let answer = question.call0().and_then(|answer| answer.is_truthy());
        exception.restore(py);
        answer.unwrap_or(false)
    })
}

/// Takes the exception that is set and tells the hook. No exception is set afterwards: one that the hook
/// raises is reported as unraisable, because the call itself is going to succeed or fail by itself.
///
/// # Safety
/// The thread is attached, an exception is set, and both objects are alive.
#[cold]
pub unsafe fn report(callable: Object, entry: Object) {
    Python::attach(|py| {
        let exception = PyErr::take(py);
        // SAFETY: the caller's promise; the hook is held while it runs.
        let (callable, entry, hook) = unsafe {
            (
                Bound::from_borrowed_ptr(py, callable),
                Bound::from_borrowed_ptr(py, entry),
                Bound::from_borrowed_ptr_or_opt(py, HOOK.load(Ordering::Relaxed)),
            )
        };
        let (Some(hook), Some(exception)) = (hook, exception) else {
            return;
        };
        if let Err(error) = hook.call1((callable, entry, exception.into_value(py))) {
            error.write_unraisable(py, Some(&hook));
        }
    });
}
