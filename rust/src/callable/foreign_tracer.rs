//! Another tracer of frames on this thread, such as `TorchDynamo`: it is told to look away while framelift
//! compiles, or it would trace framelift's own Python code.

use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The switch, an owned reference or null. Read and written under the GIL.
static SWITCH: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());

/// `set_tracer_switch(switch | None) -> previous | None`. `switch(None)` turns the tracer off on this thread and
/// returns what turns it on again: `switch(that)`.
#[pyfunction]
#[pyo3(signature = (switch, /))]
pub fn set_tracer_switch(py: Python<'_>, switch: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
    let pointer = switch.map_or(null_mut(), Py::into_ptr);
    let previous = SWITCH.swap(pointer, Ordering::Relaxed);
    // SAFETY: the reference that the static held is ours now.
    unsafe { Bound::from_owned_ptr_or_opt(py, previous) }.map(Bound::unbind)
}

/// Runs `body` with the tracer off.
pub fn without_tracer<T>(py: Python<'_>, body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    // SAFETY: held here, because the switch may be replaced meanwhile.
    let switch = unsafe { Bound::from_borrowed_ptr_or_opt(py, SWITCH.load(Ordering::Relaxed)) };
    let Some(switch) = switch else {
        return body();
    };
    let before = switch.call1((py.None(),))?;
    let result = body();
    switch.call1((before,))?;
    result
}
