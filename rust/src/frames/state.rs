//! What a frame holds: locals and cells, then the operands, the lowest first.
//!
//! Guards and exit programs know objects only, so `UNBOUND` stands for an empty place on their side.

use crate::cache::Stop;
use crate::frames::ffi::{Frame, View, framelift_set_depth, framelift_view_frame};
use crate::objects::{Object, Released};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The type of `UNBOUND`, of which there is one instance.
#[pyclass(frozen, module = "framelift._native")]
pub struct Unbound;

#[pymethods]
impl Unbound {
    #[allow(clippy::unused_self)] // Python gives it.
    fn __repr__(&self) -> &'static str {
        "UNBOUND"
    }

    #[allow(clippy::unused_self)]
    fn __reduce__(&self) -> &'static str {
        "UNBOUND"
    }
}

static UNBOUND: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());

/// Makes `UNBOUND`, which lives as long as the process.
pub fn make_unbound(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let unbound = Py::new(py, Unbound)?.into_any();
    UNBOUND.store(unbound.clone_ref(py).into_ptr(), Ordering::Relaxed);
    Ok(unbound)
}

/// `UNBOUND` for an empty place; borrowed as `object` is.
#[inline]
pub fn or_unbound(object: Object) -> Object {
    if object.is_null() {
        UNBOUND.load(Ordering::Relaxed)
    } else {
        object
    }
}

/// A new reference, or null for `UNBOUND`.
#[inline]
unsafe fn to_place(object: Object) -> Object {
    if object == UNBOUND.load(Ordering::Relaxed) {
        null_mut()
    } else {
        // SAFETY: the caller gives a live object.
        unsafe { ffi::Py_NewRef(object) }
    }
}

impl View {
    /// Sizes and places of `frame`.
    #[inline]
    pub unsafe fn of(frame: *mut Frame) -> Self {
        let mut view = Self {
            slots: null_mut(),
            slot_count: 0,
            depth: 0,
            room: 0,
            unit_count: 0,
        };
        // SAFETY: the caller gives a live frame.
        unsafe { framelift_view_frame(frame, &raw mut view) };
        view
    }

    /// Number of places in use.
    #[inline]
    pub fn used(&self) -> usize {
        (self.slot_count + self.depth) as usize
    }

    /// Whether a frame of this shape can be in the state that `stop` describes.
    #[inline]
    pub fn fits(&self, stop: Stop) -> bool {
        stop.slot_count == self.slot_count as usize
            && stop.depth <= self.room as usize
            && stop.offset.is_multiple_of(2)
            && stop.offset / 2 < self.unit_count as u32
    }

    /// Puts the frame's objects into `places`, borrowed, with `UNBOUND` for what is empty.
    #[inline]
    pub unsafe fn read(&self, places: &mut [Object]) {
        for (index, place) in places.iter_mut().enumerate() {
            // SAFETY: the caller gives as many places as are in use.
            *place = or_unbound(unsafe { *self.slots.add(index) });
        }
    }
}

/// Writes a whole state: `values` is a tuple of `slot_count + depth` objects. What was there is for the caller
/// to release, when the frame is in order.
///
/// # Safety
/// The thread is attached; `stop` fits the frame; the tuple has as many items as `stop` says.
pub unsafe fn write(frame: *mut Frame, stop: Stop, values: Object) -> Released {
    let mut released = Released::new();
    // SAFETY: the caller's promises; places above those in use hold nothing of value.
    unsafe {
        let view = View::of(frame);
        let (before, after) = (view.used(), stop.slot_count + stop.depth);
        for index in 0..after {
            let place = view.slots.add(index);
            let value = to_place(ffi::PyTuple_GET_ITEM(values, index as isize));
            if index < before {
                released.push(place.replace(value));
            } else {
                place.write(value);
            }
        }
        for index in after..before {
            released.push(*view.slots.add(index));
        }
        framelift_set_depth(frame, stop.depth as i32);
    }
    released
}

/// Empties local slots. What was there is for the caller to release.
///
/// # Safety
/// The thread is attached; the frame is alive and no other code runs in it.
pub unsafe fn take_locals(frame: *mut Frame, slots: &[usize]) -> Released {
    let mut released = Released::new();
    // SAFETY: the caller's promise; only slots of the frame are touched.
    unsafe {
        let view = View::of(frame);
        for &slot in slots {
            if slot < view.slot_count as usize {
                released.push(view.slots.add(slot).replace(null_mut()));
            }
        }
    }
    released
}

/// Takes all operands off. They are for the caller to release.
///
/// # Safety
/// The thread is attached; the frame is alive and no other code runs in it.
pub unsafe fn take_operands(frame: *mut Frame) -> Released {
    let mut released = Released::new();
    // SAFETY: the places between the slots and the top are the operands.
    unsafe {
        let view = View::of(frame);
        for index in view.slot_count as usize..view.used() {
            released.push(*view.slots.add(index));
        }
        framelift_set_depth(frame, 0);
    }
    released
}
