//! The dictionaries of instances, which CPython makes when somebody asks for them.

use crate::guards::python::{_PyObject_GetDictPtr, without_collector};
use crate::objects::{Object, Released};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ptr::null_mut;
use std::sync::OnceLock;

/// The instance dictionary, borrowed; null where there is none.
///
/// # Safety
/// `object` is live; the thread is attached.
pub unsafe fn instance_dict(object: Object) -> Object {
    // SAFETY: a live object, and a place in it.
    unsafe {
        let place = instance_dict_place(object);
        if place.is_null() { null_mut() } else { *place }
    }
}

/// Where the instance dictionary is kept; null where there can be none.
///
/// # Safety
/// `object` is live; the thread is attached.
pub unsafe fn instance_dict_place(object: Object) -> *mut Object {
    // SAFETY: a live object. Making a dictionary of inline values allocates, so the collector is off.
    unsafe { without_collector(|| _PyObject_GetDictPtr(object)) }
}

/// The instance dictionary to read from, borrowed: an empty one where the object has not made its own yet,
/// null where it can have none. Nobody writes to what is returned here.
///
/// # Safety
/// `object` is live; the thread is attached.
pub unsafe fn readable_instance_dict(object: Object) -> Object {
    // SAFETY: a live object.
    let place = unsafe { instance_dict_place(object) };
    if place.is_null() {
        return null_mut();
    }
    // SAFETY: a place in a live object.
    let dict = unsafe { *place };
    if dict.is_null() { empty_dict() } else { dict }
}

/// The instance dictionary itself, made if the object has not made it yet.
///
/// # Safety
/// `object` is live; the thread is attached, with no exception set.
pub unsafe fn own_instance_dict(object: Object, owned: &mut Released) -> Object {
    // SAFETY: a live object; the new reference goes to `owned`.
    unsafe {
        let dict = without_collector(|| ffi::PyObject_GenericGetDict(object, null_mut()));
        if dict.is_null() {
            ffi::PyErr_Clear();
        } else {
            owned.push(dict);
        }
        dict
    }
}

static EMPTY: OnceLock<Py<PyDict>> = OnceLock::new();

/// One empty dictionary, never freed; null before [`prepare`].
fn empty_dict() -> Object {
    EMPTY.get().map_or(null_mut(), Py::as_ptr)
}

/// At import: a walk must not make the dictionary, since a collection could start a finaliser that walks.
pub fn prepare(py: Python<'_>) {
    let empty = PyDict::new(py).unbind();
    EMPTY.get_or_init(|| empty);
}
