//! Arms: while a break's instruction is performed, the frames it enters come to the driver (`csrc/shim.c`).

use crate::frames::ffi::{
    Arms, framelift_arm, framelift_edition, framelift_exchange_decisions, framelift_forget_decisions,
    framelift_put_back, framelift_waiting,
};
use crate::objects::Object;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

/// Whether any thread is armed or expects a frame: one load, for calls that go on at once if not.
#[inline]
pub fn somebody_waits() -> bool {
    // SAFETY: an `int` of the C side, written under the GIL.
    unsafe { framelift_waiting.load(Ordering::Relaxed) != 0 }
}

/// The thread is armed while this lives.
pub struct Armed(Arms);

impl Armed {
    /// `callable` performs an instruction; `codes` is a tuple of the codes in which it can't be captured, or null.
    ///
    /// # Safety
    /// The thread is attached; both are alive or null. It must stay attached until this is dropped.
    #[inline]
    pub unsafe fn new(callable: Object, codes: Object) -> Self {
        let mut before = Arms::NONE;
        // SAFETY: the caller's promise.
        unsafe { framelift_arm(callable, codes, &raw mut before) };
        Self(before)
    }
}

impl Drop for Armed {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: pairs with `new`, on a thread that is attached.
        unsafe { framelift_put_back(&raw mut self.0) };
    }
}

/// The thread is not armed while this lives: what runs is no part of the instruction.
pub struct Disarmed {
    _before: Armed,
}

impl Disarmed {
    /// # Safety
    /// The thread is attached, and stays so until this is dropped.
    pub unsafe fn new() -> Self {
        Self {
            // SAFETY: the caller's promise.
            _before: unsafe { Armed::new(null_mut(), null_mut()) },
        }
    }
}

/// `set_frame_decisions(decide, markers) -> previous`: `decide(function)` says what becomes of a fresh frame that
/// comes while a break's instruction is performed (`FrameDecision` in `children.py`); None: all of them pass. It
/// is asked once for each code, and for each frame of a function that has one of `markers` in its dictionary.
#[pyfunction]
#[pyo3(signature = (decide, markers, /))]
pub fn set_frame_decisions(
    py: Python<'_>,
    decide: Option<Py<PyAny>>,
    markers: Py<PyTuple>,
) -> (Option<Py<PyAny>>, Py<PyAny>) {
    let mut decide = decide.map_or(null_mut(), Py::into_ptr);
    let mut markers = markers.into_ptr();
    // SAFETY: attached; what comes back is owned, or null.
    unsafe {
        framelift_exchange_decisions(&raw mut decide, &raw mut markers);
        let decide = Bound::from_owned_ptr_or_opt(py, decide).map(Bound::unbind);
        let markers = Bound::from_owned_ptr_or_opt(py, markers).map(Bound::unbind);
        (
            decide,
            markers.unwrap_or_else(|| PyTuple::empty(py).into_any().unbind()),
        )
    }
}

/// The rules have changed: every decision is asked for again.
pub fn forget_decisions(_py: Python<'_>) {
    // SAFETY: attached.
    unsafe { framelift_forget_decisions() };
}

/// Another number whenever the rules have changed.
pub fn edition_of_rules() -> usize {
    // SAFETY: only reads a number.
    unsafe { framelift_edition() }
}
