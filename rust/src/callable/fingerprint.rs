//! What a call looks like at a glance, to try the entry first that a call like it has hit before.
//!
//! With many live entries, asking one after the other costs a miss each. Most of them differ in what the arguments
//! are: sizes of tensors, numbers, strings. A fingerprint is a hash of just that. It decides nothing, the guards of
//! the entry do: two calls may have one fingerprint, and one entry may serve many.

use crate::objects::Object;
use crate::torch_abi;
use pyo3::ffi;

/// The fingerprint of no call.
pub const NONE: u64 = 0;

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(MULTIPLIER).rotate_left(29)
}

/// The fingerprint of a call with these arguments. Runs no user code.
///
/// # Safety
/// The arguments are live objects; the thread is attached, with no exception set.
pub unsafe fn fingerprint(arguments: &[Object]) -> u64 {
    let mut hash = MULTIPLIER;
    for &argument in arguments {
        // SAFETY: a live object.
        hash = mix(hash, unsafe { glance(argument) });
    }
    hash | 1
}

/// # Safety
/// `object` is live; the thread is attached, with no exception set.
unsafe fn glance(object: Object) -> u64 {
    // SAFETY: each structure is read behind a check of the exact type; the hashes are those of C types, which
    // call nobody and don't fail.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let hashed = ffi::PyLong_CheckExact(object) != 0
            || ffi::PyUnicode_CheckExact(object) != 0
            || ffi::PyFloat_CheckExact(object) != 0;
        let word = if hashed {
            ffi::PyObject_Hash(object) as u64
        } else if ffi::PyTuple_CheckExact(object) != 0 || ffi::PyList_CheckExact(object) != 0 {
            ffi::Py_SIZE(object) as u64
        } else if ffi::PyDict_CheckExact(object) != 0 {
            ffi::PyDict_Size(object) as u64
        } else if torch_abi::is_exact_tensor(object) {
            torch_abi::layout().map_or(0, |layout| layout.metadata(object).fold(0, mix))
        } else {
            object as u64
        };
        mix(class as u64, word)
    }
}
