//! The numbers of dictionary states.
//!
//! CPython up to 3.13 gives every state of every dictionary a number that no other state ever had. An equal
//! number means: the same dictionary, with the same keys and values. On CPython 3.13.0 an attribute that is stored
//! into an object leaves the number as it is while the values lie inside the object (python/cpython#125608), so
//! it is tried at import, and such dictionaries then have no number.

use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null;
use std::sync::atomic::{AtomicBool, Ordering};

/// The head of a dictionary, the same from CPython 3.11 to 3.13.
#[repr(C)]
struct Dict {
    base: ffi::PyObject,
    used: ffi::Py_ssize_t,
    version: u64,
    keys: Object,
    /// Null, or where the values lie of an instance dictionary that shares its keys with others.
    values: Object,
}

/// The offset of the number, for the check against CPython's headers.
pub const VERSION_OFFSET: usize = std::mem::offset_of!(Dict, version);

/// Whether a store into an object changes the number of its dictionary also while the values lie in the object.
static COUNTS_INLINE_VALUES: AtomicBool = AtomicBool::new(false);

/// The number of a dictionary's state, or 0 where there is none that can be relied on.
///
/// # Safety
/// `dict` is a dict or of a subclass.
#[inline]
pub unsafe fn dict_version(dict: Object) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        let place = dict_version_place(dict);
        if place.is_null() { 0 } else { *place }
    }
}

/// Where the number is, null where there is none that can be relied on.
///
/// # Safety
/// `dict` is a dict or of a subclass.
#[inline]
pub unsafe fn dict_version_place(dict: Object) -> *const u64 {
    let dict = dict.cast::<Dict>();
    // SAFETY: the caller's promise.
    unsafe {
        if (*dict).values.is_null() || COUNTS_INLINE_VALUES.load(Ordering::Relaxed) {
            &raw const (*dict).version
        } else {
            null()
        }
    }
}

/// Stores an attribute in every way that CPython has a way of its own for, and asks for the number each time.
const PROBE: &std::ffi::CStr = c"
class Probe:
    def __init__(self):
        self.first = self.second = 0

def store(probe, value):
    probe.first = value

def count(number):
    different = True
    for _ in range(40):
        probe = Probe()
        namespace = probe.__dict__
        for value in range(40):
            before = number(namespace)
            store(probe, value + 1)
            different &= number(namespace) != before
        before = number(namespace)
        setattr(probe, 'second', 1)
        different &= number(namespace) != before
    return different
";

/// Finds out, once, at import.
pub fn probe(py: Python<'_>) -> PyResult<()> {
    COUNTS_INLINE_VALUES.store(true, Ordering::Relaxed);
    let number = pyo3::types::PyCFunction::new_closure(py, None, None, |arguments, _| {
        let dict = arguments.get_item(0)?.cast_into::<pyo3::types::PyDict>()?;
        // SAFETY: a dict.
        PyResult::Ok(unsafe { dict_version(dict.as_ptr()) })
    })?;
    let module = PyModule::from_code(py, PROBE, c"framelift/versions.py", c"framelift_versions")?;
    let counts = module.getattr("count")?.call1((number,))?.extract()?;
    COUNTS_INLINE_VALUES.store(counts, Ordering::Relaxed);
    Ok(())
}
