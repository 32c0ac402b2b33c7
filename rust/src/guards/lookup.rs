//! Dictionary lookups that cannot run user code.
//!
//! A table whose keys are all exact strings never calls back for a key that is built in, so CPython's own
//! lookup serves. In any other table a stored key of a user's class could have the hash that is looked
//! for, and CPython would call its `__eq__`. Such tables are searched here: the same probe sequence, but
//! a comparison that could call back makes the answer [`Lookup::Unknown`].
//!
//! The layout of key tables has been the same from CPython 3.11 to 3.13 and is tried out at import.

use super::python::{_PyDict_GetItem_KnownHash, _PySet_NextEntry};
use crate::objects::Object;
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ptr::null_mut;

/// What a lookup found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// The value, borrowed from the dictionary.
    Found(Object),
    /// No such key.
    Missing,
    /// Only user code could tell.
    Unknown,
}

/// The head of CPython's table of keys.
#[repr(C)]
struct KeyTable {
    reference_count: isize,
    log2_size: u8,
    log2_index_bytes: u8,
    kind: u8,
    unused: u8,
    version: u32,
    usable: isize,
    entry_count: isize,
}

/// An entry of a table of any keys.
#[repr(C)]
struct Entry {
    hash: ffi::Py_hash_t,
    key: Object,
    value: Object,
}

const GENERAL: u8 = 0;
const PERTURB_SHIFT: u32 = 5;

/// Looks up `key`, whose hash is `hash` and which is built in, in the C storage of `dict`.
///
/// # Safety
/// `dict` is a dict or of a subclass; the thread is attached, with no exception set.
#[inline]
pub unsafe fn find(dict: Object, key: Object, hash: ffi::Py_hash_t) -> Lookup {
    // SAFETY: a dict's first fields are those of `PyDictObject`, and its table of keys is never null.
    let table = unsafe { (*dict.cast::<ffi::PyDictObject>()).ma_keys }.cast::<KeyTable>();
    // SAFETY: as above.
    if unsafe { (*table).kind } == GENERAL {
        // SAFETY: the kind says which entries the table has.
        return unsafe { search(table, key, hash) };
    }
    // SAFETY: the stored keys are exact strings and `key` is built in: no user code.
    let value = unsafe { _PyDict_GetItem_KnownHash(dict, key, hash) };
    if !value.is_null() {
        return Lookup::Found(value);
    }
    // SAFETY: attached.
    if unsafe { ffi::PyErr_Occurred() }.is_null() {
        return Lookup::Missing;
    }
    // SAFETY: attached.
    unsafe { ffi::PyErr_Clear() };
    Lookup::Unknown
}

/// CPython's probe sequence over a table of any keys.
///
/// # Safety
/// `table` is a live table of kind [`GENERAL`]; the thread is attached.
#[allow(clippy::cast_ptr_alignment)] // indices are aligned to their width, entries to words
unsafe fn search(table: *const KeyTable, key: Object, hash: ffi::Py_hash_t) -> Lookup {
    // SAFETY: the caller's table; its indices follow the head, its entries follow the indices.
    let (head, indices) = unsafe { (&*table, table.add(1).cast::<u8>()) };
    // SAFETY: as above.
    let entries = unsafe { indices.add(1 << head.log2_index_bytes) }.cast::<Entry>();
    let mask = (1_usize << head.log2_size) - 1;
    let mut perturb = hash as usize;
    let mut position = perturb & mask;
    loop {
        // SAFETY: `position` is below the number of indices, whose width follows from it.
        let index = unsafe {
            match head.log2_size {
                0..=7 => i64::from(*indices.cast::<i8>().add(position)),
                8..=15 => i64::from(*indices.cast::<i16>().add(position)),
                16..=31 => i64::from(*indices.cast::<i32>().add(position)),
                _ => *indices.cast::<i64>().add(position),
            }
        };
        if index == -1 {
            return Lookup::Missing;
        }
        if index >= 0 {
            // SAFETY: an index that is not negative names an entry; entries of deleted keys are not named.
            let entry = unsafe { &*entries.add(index as usize) };
            if entry.key == key {
                return Lookup::Found(entry.value);
            }
            if entry.hash == hash {
                // SAFETY: both are live objects.
                match unsafe { equal_keys(entry.key, key) } {
                    Some(true) => return Lookup::Found(entry.value),
                    Some(false) => {}
                    None => return Lookup::Unknown,
                }
            }
        }
        perturb >>= PERTURB_SHIFT;
        position = position.wrapping_mul(5).wrapping_add(perturb).wrapping_add(1) & mask;
    }
}

/// `stored == key`, or None where asking would run user code.
unsafe fn equal_keys(stored: Object, key: Object) -> Option<bool> {
    // SAFETY: live objects, given by the caller.
    unsafe {
        if !compares_without_user_code(stored) || !compares_without_user_code(key) {
            return None;
        }
        match ffi::PyObject_RichCompareBool(stored, key, ffi::Py_EQ) {
            0 => Some(false),
            1 => Some(true),
            _ => {
                ffi::PyErr_Clear();
                None
            }
        }
    }
}

/// Whether `object`'s side of a comparison is C code that calls nobody.
///
/// # Safety
/// `object` is a live object; the thread is attached.
pub unsafe fn compares_without_user_code(object: Object) -> bool {
    // SAFETY: live objects throughout: the items are held by their container.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let compare = (*class).tp_richcompare.map(|function| function as usize);
        let by_identity = ffi::PyBaseObject_Type
            .tp_richcompare
            .map(|function| function as usize);
        if compare.is_none() || compare == by_identity {
            return true;
        }
        if (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE != 0 {
            return false;
        }
        if ffi::PyTuple_CheckExact(object) != 0 {
            return (0..ffi::PyTuple_GET_SIZE(object))
                .all(|index| compares_without_user_code(ffi::PyTuple_GET_ITEM(object, index)));
        }
        if ffi::PyFrozenSet_CheckExact(object) != 0 {
            let (mut position, mut member, mut hash) = (0, null_mut(), 0);
            while _PySet_NextEntry(object, &raw mut position, &raw mut member, &raw mut hash) != 0 {
                if !compares_without_user_code(member) {
                    return false;
                }
            }
        }
        true
    }
}

/// Refuses to import when tables of keys are not laid out as [`search`] reads them.
pub fn verify(py: Python<'_>) -> PyResult<()> {
    let table = PyDict::new(py);
    for number in 0..300_i64 {
        table.set_item((number, "key"), number)?;
    }
    for number in (0..300_i64).step_by(7) {
        table.del_item((number, "key"))?;
    }
    let mut agrees = true;
    for number in 0..310_i64 {
        let key = (number, "key").into_pyobject(py)?;
        let expected = table.get_item(&key)?;
        // SAFETY: a dict whose keys are built in; attached.
        let found = unsafe { find(table.as_ptr(), key.as_ptr(), key.hash()?) };
        agrees &= match (found, &expected) {
            (Lookup::Found(value), Some(expected)) => value == expected.as_ptr(),
            (Lookup::Missing, None) => true,
            _ => false,
        };
    }
    if agrees {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "framelift: this build reads CPython's dictionaries wrongly; please report it with the Python version",
    ))
}
