//! For tests: the state of a frame that is being traced, and a call that starts in that state.

use crate::boundary;
use crate::cache::Stop;
use crate::frames::ffi::{
    Expected, Frame, View, framelift_end_frame, framelift_expect_frame, framelift_expected_in_vain,
    framelift_frame_of, framelift_resume_frame,
};
use crate::frames::state::{or_unbound, write};
use crate::layout::code_signature;
use crate::objects::Object;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrame, PyFunction, PyTuple};
use std::ffi::c_void;
use std::ptr::null_mut;

struct Start<'a> {
    stop: Stop,
    values: &'a Bound<'a, PyTuple>,
}

unsafe extern "C" fn start(context: *mut c_void, frame: *mut Frame) -> Object {
    boundary::raw(|| {
        // SAFETY: the shim gives back the context of `testing_start_at`, which waits for this to return.
        unsafe {
            let start = &*context.cast::<Start<'_>>();
            if !View::of(frame).fits(start.stop) {
                ffi::PyErr_SetString(ffi::PyExc_ValueError, c"no such state in this function".as_ptr());
                return framelift_end_frame(frame, null_mut());
            }
            write(frame, start.stop, start.values.as_ptr()).release();
            framelift_resume_frame(frame, (start.stop.offset / 2) as i32)
        }
    })
}

/// `testing_start_at(function, offset, slots, stack)`: calls the function and returns what it returns, but
/// CPython executes it from `offset` on, with these locals and operands.
#[pyfunction]
pub fn testing_start_at<'py>(
    function: &Bound<'py, PyFunction>,
    offset: u32,
    slots: Vec<Bound<'py, PyAny>>,
    stack: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    let code = function.getattr("__code__")?;
    // SAFETY: a code object, which is held.
    let signature = unsafe { code_signature(code.as_ptr()) };
    let stop = Stop {
        offset,
        slot_count: slots.len(),
        depth: stack.len(),
    };
    let values = PyTuple::new(py, [slots, stack].concat())?;
    let arguments = PyTuple::new(py, (0..signature.positional).map(|_| py.None()))?;
    let keywords = PyDict::new(py);
    for index in 0..signature.keyword_only {
        let place = (signature.positional + index) as isize;
        // SAFETY: the names of a code start with those of its parameters.
        let name = unsafe { Bound::from_borrowed_ptr(py, ffi::PyTuple_GET_ITEM(signature.names, place)) };
        keywords.set_item(name, py.None())?;
    }
    let context = Start {
        stop,
        values: &values,
    };
    let mut expected = Expected {
        function: function.as_ptr(),
        code: code.as_ptr(),
        arguments: null_mut(),
        argument_count: 0,
        drive: start,
        context: (&raw const context).cast_mut().cast(),
        outer: null_mut(),
    };
    // SAFETY: everything that is expected lives until the call is over.
    unsafe {
        framelift_expect_frame(&raw mut expected);
        let result = function.call(arguments, Some(&keywords));
        if framelift_expected_in_vain(&raw mut expected) != 0 {
            return Err(PyValueError::new_err("the call had no frame"));
        }
        result
    }
}

/// `testing_state(frame, depth=None) -> (slots, stack, offset)` of a frame in a trace function. Where CPython
/// does not say how many operands there are (3.12 and later), the caller must.
#[pyfunction]
#[pyo3(signature = (frame, depth=None))]
pub fn testing_state<'py>(
    frame: &Bound<'py, PyFrame>,
    depth: Option<i32>,
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyTuple>, i32)> {
    let py = frame.py();
    let mut unit = 0;
    // SAFETY: a frame object that the caller holds; its places in use are objects or null.
    unsafe {
        let frame = framelift_frame_of(frame.as_ptr(), &raw mut unit);
        let view = View::of(frame);
        let depth = depth.unwrap_or(view.depth);
        if depth < 0 || depth > view.room {
            return Err(PyValueError::new_err("the depth of the stack is not known"));
        }
        let slots = view.slot_count as usize;
        let object = |index| Bound::<PyAny>::from_borrowed_ptr(py, or_unbound(*view.slots.add(index)));
        let locals = PyTuple::new(py, (0..slots).map(object))?;
        let stack = PyTuple::new(py, (slots..slots + depth as usize).map(object))?;
        Ok((locals, stack, unit * 2))
    }
}
