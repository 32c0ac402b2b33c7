//! Dictionary lookups that cannot run user code.
//!
//! In a table of any keys a stored key of a user's class could have the hash that is looked for, and CPython would
//! call its `__eq__`. So tables are searched here: the same probe sequence, but a comparison that could call back
//! makes the answer [`Lookup::Unknown`]. A table whose keys several dictionaries share, which are exact strings, is
//! searched by CPython: it never calls back for a key that is built in.
//!
//! The layout of key tables has been the same from CPython 3.11 to 3.13 and is tried out at import.

use super::python::{_PyDict_GetItem_KnownHash, _PySet_NextEntry};
use crate::objects::Object;
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ptr::{null, null_mut};

/// What a lookup found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// The value, borrowed from the dictionary, and where its own table has it; null if it shares its keys.
    Found(Object, *const Object),
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

/// Words of an entry of a table of any keys: the hash, the key, the value.
const ANY: usize = 3;
/// Words of an entry of a table of exact strings: the key, the value.
const NAME: usize = 2;

const GENERAL: u8 = 0;
const NAMES: u8 = 1;
const PERTURB_SHIFT: u32 = 5;

/// Where `dict` has the pointer to its table of keys, which is another one after each change of its layout.
///
/// # Safety
/// `dict` is a dict or of a subclass.
#[inline]
pub unsafe fn table_place(dict: Object) -> *const Object {
    // SAFETY: a dict's first fields are those of `PyDictObject`.
    unsafe { (&raw const (*dict.cast::<ffi::PyDictObject>()).ma_keys).cast() }
}

/// Looks up `key`, whose hash is `hash` and which is built in, in the C storage of `dict`.
///
/// # Safety
/// `dict` is a dict or of a subclass; the thread is attached, with no exception set.
#[inline]
pub unsafe fn find(dict: Object, key: Object, hash: ffi::Py_hash_t) -> Lookup {
    // SAFETY: the table of keys is never null, and its kind says which entries it has.
    unsafe {
        let table = (*table_place(dict)).cast::<KeyTable>();
        match (*table).kind {
            GENERAL => search::<ANY>(table, key, hash),
            NAMES => search::<NAME>(table, key, hash),
            _ => ask(dict, key, hash),
        }
    }
}

/// CPython's own lookup.
///
/// # Safety
/// As for [`find`]; the keys of `dict` are exact strings.
unsafe fn ask(dict: Object, key: Object, hash: ffi::Py_hash_t) -> Lookup {
    // SAFETY: the stored keys are exact strings and `key` is built in: no user code. Attached.
    unsafe {
        let value = _PyDict_GetItem_KnownHash(dict, key, hash);
        if !value.is_null() {
            return Lookup::Found(value, null());
        }
        if ffi::PyErr_Occurred().is_null() {
            return Lookup::Missing;
        }
        ffi::PyErr_Clear();
        Lookup::Unknown
    }
}

/// CPython's probe sequence over a table that belongs to one dictionary and whose entries have so many words.
///
/// # Safety
/// `table` is a live table of such entries; the thread is attached.
#[inline]
#[allow(clippy::cast_ptr_alignment)] // indices are aligned to their width, entries to words
unsafe fn search<const WORDS: usize>(table: *const KeyTable, key: Object, hash: ffi::Py_hash_t) -> Lookup {
    // SAFETY: the caller's table; its indices follow the head, its entries follow the indices.
    let (head, indices) = unsafe { (&*table, table.add(1).cast::<u8>()) };
    // SAFETY: as above.
    let entries = unsafe { indices.add(1 << head.log2_index_bytes) }.cast::<[Object; WORDS]>();
    let mask = (1_usize << head.log2_size) - 1;
    let mut perturb = hash as usize;
    let mut position = perturb & mask;
    loop {
        // SAFETY: `position` is below the number of indices, whose width follows from it.
        let index = unsafe { index_at(indices, head.log2_size, position) };
        if index == -1 {
            return Lookup::Missing;
        }
        if index >= 0 {
            // SAFETY: an index that is not negative names an entry; entries of deleted keys are not named.
            let entry = unsafe { &*entries.add(index as usize) };
            let (stored, value) = (entry[WORDS - 2], &entry[WORDS - 1]);
            if stored == key {
                return Lookup::Found(*value, value);
            }
            let stored_hash = if WORDS == ANY {
                entry[0] as ffi::Py_hash_t
            } else {
                // SAFETY: a live string, which keeps its hash.
                unsafe { ffi::PyObject_Hash(stored) }
            };
            if stored_hash == hash {
                // SAFETY: both are live objects.
                match unsafe { equal_keys(stored, key) } {
                    Some(true) => return Lookup::Found(*value, value),
                    Some(false) => {}
                    None => return Lookup::Unknown,
                }
            }
        }
        perturb >>= PERTURB_SHIFT;
        position = position.wrapping_mul(5).wrapping_add(perturb).wrapping_add(1) & mask;
    }
}

/// The index at `position` of a table of that size: of an entry, or negative.
///
/// # Safety
/// There is such a position.
#[inline]
#[allow(clippy::cast_ptr_alignment)] // indices are aligned to their width
unsafe fn index_at(indices: *const u8, log2_size: u8, position: usize) -> i64 {
    // SAFETY: the caller's promise.
    unsafe {
        match log2_size {
            0..=7 => i64::from(*indices.cast::<i8>().add(position)),
            8..=15 => i64::from(*indices.cast::<i16>().add(position)),
            16..=31 => i64::from(*indices.cast::<i32>().add(position)),
            _ => *indices.cast::<i64>().add(position),
        }
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

fn pair(py: Python<'_>, number: i64) -> PyResult<Bound<'_, PyAny>> {
    Ok((number, "key").into_pyobject(py)?.into_any())
}

fn name(py: Python<'_>, number: i64) -> PyResult<Bound<'_, PyAny>> {
    Ok(format!("key{number}").into_pyobject(py)?.into_any())
}

/// Refuses to import when tables of keys are not laid out as [`search`] reads them.
pub fn verify(py: Python<'_>) -> PyResult<()> {
    let mut agrees = true;
    for make_key in [pair, name] {
        let table = PyDict::new(py);
        for number in 0..300_i64 {
            table.set_item(make_key(py, number)?, number)?;
        }
        for number in (0..300_i64).step_by(7) {
            table.del_item(make_key(py, number)?)?;
        }
        for number in 0..310_i64 {
            let key = make_key(py, number)?;
            let expected = table.get_item(&key)?;
            // SAFETY: a dict whose keys are built in; attached.
            let found = unsafe { find(table.as_ptr(), key.as_ptr(), key.hash()?) };
            agrees &= match (found, &expected) {
                // SAFETY: a place is in the table.
                (Lookup::Found(value, place), Some(expected)) => unsafe {
                    value == expected.as_ptr() && !place.is_null() && *place == value
                },
                (Lookup::Missing, None) => true,
                _ => false,
            };
        }
    }
    if agrees {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "framelift: this build reads CPython's dictionaries wrongly; please report it with the Python version",
    ))
}
