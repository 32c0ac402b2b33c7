//! Items of C sequences that are neither lists nor tuples, such as deques.

use crate::guards::python::without_collector;
use crate::objects::{Object, Released};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ptr::null_mut;
use std::sync::OnceLock;

/// `collections.deque`, whose C storage is read also in subclasses.
static DEQUE: OnceLock<Py<PyType>> = OnceLock::new();

/// At import: a walk must not look for the class, since that may run Python code.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    let class = py.import("collections")?.getattr("deque")?;
    let class = class.cast_into::<PyType>()?.unbind();
    DEQUE.get_or_init(|| class);
    Ok(())
}

/// The class; null before [`prepare`].
fn deque() -> *mut ffi::PyTypeObject {
    DEQUE.get().map_or(null_mut(), |class| class.as_ptr().cast())
}

/// The C type whose storage an object of `class` has, as far as it is known to run no user code.
///
/// # Safety
/// `class` is a live class.
pub unsafe fn storage_type(class: *mut ffi::PyTypeObject) -> *mut ffi::PyTypeObject {
    // SAFETY: live classes.
    unsafe {
        if (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0 {
            class
        } else if !deque().is_null() && ffi::PyType_IsSubtype(class, deque()) != 0 {
            deque()
        } else {
            null_mut()
        }
    }
}

/// The item of a C sequence, kept for the walk; null where there is none.
///
/// # Safety
/// As for [`super::Access::fetch`].
pub unsafe fn sequence_item(sequence: Object, index: ffi::Py_ssize_t, owned: &mut Released) -> Object {
    // SAFETY: the slots of a C type are called with an object that has its storage.
    unsafe {
        let storage = storage_type(ffi::Py_TYPE(sequence));
        if storage.is_null() || (*storage).tp_as_sequence.is_null() {
            return null_mut();
        }
        let methods = &*(*storage).tp_as_sequence;
        let (Some(item), Some(length)) = (methods.sq_item, methods.sq_length) else {
            return null_mut();
        };
        if index >= length(sequence) {
            return null_mut();
        }
        let value = without_collector(|| item(sequence, index));
        if value.is_null() {
            ffi::PyErr_Clear();
        } else {
            owned.push(value);
        }
        value
    }
}
