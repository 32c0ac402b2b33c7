//! Generators and coroutines of compiled functions: adopted when they are made, driven when they go on.
//!
//! Calling such a function executes nothing of it, so the call is CPython's and its result is CPython's own
//! object. The shim recognises its frame by a mark, and each time it goes on the driver has it, from the resume
//! point where it was suspended to the next instruction that suspends.

use crate::boundary;
use crate::callable::{self, Call, CompiledCallable};
use crate::frames::drive::{Resumed, resume};
use crate::frames::ffi::{
    Frame, framelift_adopt, framelift_prepare_generators, framelift_suspended_one_less,
    framelift_suspended_one_more,
};
use crate::objects::Object;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

/// What makes a generator ours. It lives as long as the generator's frame and keeps the compiled callable.
#[pyclass(frozen, module = "framelift._native")]
pub struct GeneratorMark {
    callable: Py<PyAny>,
    /// The function that was called; the one in the frame is a copy.
    function: Py<PyAny>,
    /// Whether the shim still waits for it.
    counted: AtomicBool,
}

#[pymethods]
impl GeneratorMark {
    // The cycles that run through a mark run through the callable or the function of the frame, too.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.callable)?;
        visit.call(&self.function)
    }
}

impl GeneratorMark {
    /// The generator can't go on any more. Somebody may hold its frame for long.
    fn end(&self) {
        if self.counted.swap(false, Ordering::Relaxed) {
            // SAFETY: attached; counted in `start`.
            unsafe { framelift_suspended_one_less() };
        }
    }

    /// # Safety
    /// The thread is attached; `mark` is a mark and outlives the reference.
    unsafe fn from_pointer<'a>(mark: Object) -> &'a Self {
        // SAFETY: the caller's promise; the class is frozen.
        unsafe {
            Borrowed::from_ptr(Python::assume_attached(), mark)
                .cast_unchecked::<Self>()
                .get()
        }
    }
}

impl Drop for GeneratorMark {
    fn drop(&mut self) {
        self.end();
    }
}

/// Calls a function whose frames are suspended, and makes the generator ours.
///
/// # Safety
/// As for a vectorcall of the callable.
pub unsafe fn start(this: *mut CompiledCallable, call: &Call) -> Object {
    // SAFETY: the caller's promise; the references made here are released here.
    unsafe { adopt(this, (*this).function(), callable::call_function(this, call)) }
}

/// Makes a new generator ours, if it is a call of `function`; null for an exception stays that. Returns it.
///
/// # Safety
/// The thread is attached; all three are alive or, the last, null.
pub unsafe fn adopt(this: *mut CompiledCallable, function: Object, generator: Object) -> Object {
    // SAFETY: the caller's promise; the references made here are released here.
    unsafe {
        if generator.is_null() {
            return generator;
        }
        let py = Python::assume_attached();
        let mark = GeneratorMark {
            callable: Bound::from_borrowed_ptr(py, this.cast()).unbind(),
            function: Bound::from_borrowed_ptr(py, function).unbind(),
            counted: AtomicBool::new(false),
        };
        let adopted = Bound::new(py, mark).map(|mark| {
            let adopted = framelift_adopt(generator, function, (*this).code(), mark.as_ptr());
            if adopted == 1 {
                mark.get().counted.store(true, Ordering::Relaxed);
                framelift_suspended_one_more();
            }
            adopted
        });
        if !matches!(adopted, Ok(1)) {
            // For want of memory, or no generator after all: it is CPython's, as it is.
            ffi::PyErr_Clear();
            (*this).count_fallback();
        }
        generator
    }
}

unsafe extern "C" fn resume_ours(mark: Object, frame: *mut Frame, result: *mut Object) -> c_int {
    boundary::raw(|| {
        // SAFETY: the shim holds the mark, which holds the callable, until this returns.
        unsafe {
            let mark = GeneratorMark::from_pointer(mark);
            match resume(mark.callable.as_ptr().cast(), mark.function.as_ptr(), frame) {
                Resumed::LeftAlone => 0,
                Resumed::Driven(value) => {
                    result.write(value);
                    1
                }
                Resumed::ThrownInto => 2,
            }
        }
    })
}

unsafe extern "C" fn end(mark: Object) {
    // SAFETY: the shim holds the mark.
    unsafe { GeneratorMark::from_pointer(mark) }.end();
}

/// Tells the C side of marks.
pub fn prepare(module: &Bound<'_, PyModule>) {
    let kind = module.py().get_type::<GeneratorMark>();
    // SAFETY: once, attached; the class lives as long as the process.
    unsafe { framelift_prepare_generators(kind.into_ptr().cast(), resume_ours, end) };
}
