//! Where CPython calls Rust: panics and Rust errors become Python exceptions.
//!
//! Every `extern "C"` function of this crate is one call of [`raw`] or [`attached`]. A panic that
//! crossed into C would abort the process; here it raises `SystemError`, and Rust's own message with
//! the place of the panic is on standard error.

use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a C function returns to say that an exception is set.
pub trait Failure {
    /// That value.
    const FAILED: Self;
}

impl Failure for *mut ffi::PyObject {
    const FAILED: Self = std::ptr::null_mut();
}

impl Failure for std::ffi::c_int {
    const FAILED: Self = -1;
}

#[cold]
fn raise_panic(payload: &(dyn Any + Send)) {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let message = format!("framelift: internal error, please report it: {text}");
    Python::attach(|py| PySystemError::new_err(message).restore(py));
}

/// Runs `body`, which sets its Python exceptions itself; nothing is paid unless it panics.
#[inline]
pub fn raw<R: Failure>(body: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            raise_panic(&*payload);
            R::FAILED
        }
    }
}

/// Runs `body` as PyO3 code and raises its error. For everything off the call path: unlike [`raw`] it
/// tells PyO3 that the thread is attached, so that dropping a `Py` releases it at once.
pub fn attached<R: Failure>(body: impl FnOnce(Python<'_>) -> PyResult<R>) -> R {
    raw(|| {
        Python::attach(|py| match body(py) {
            Ok(value) => value,
            Err(error) => {
                error.restore(py);
                R::FAILED
            }
        })
    })
}
