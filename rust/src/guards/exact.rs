//! Equality as guards mean it: same exact type, same value, floats by their bits, no user code.

use super::python::_PySet_NextEntry;
use crate::objects::Object;
use crate::torch_abi;
use pyo3::ffi;
use std::ptr::null_mut;

/// Whether two objects are indistinguishable values. False for types it does not know, unless identical.
///
/// # Safety
/// Both are live objects; the thread is attached, with no exception set.
#[inline]
pub unsafe fn equal(left: Object, right: Object) -> bool {
    // SAFETY: live objects, given by the caller.
    left == right || unsafe { ffi::Py_TYPE(left) == ffi::Py_TYPE(right) && equal_of_one_type(left, right) }
}

/// [`equal`] for two objects of one type that are not identical.
unsafe fn equal_of_one_type(left: Object, right: Object) -> bool {
    // SAFETY: both are live and of the type that each branch has established.
    unsafe {
        if ffi::PyUnicode_CheckExact(left) != 0 {
            return ffi::PyUnicode_Compare(left, right) == 0;
        }
        if ffi::PyLong_CheckExact(left) != 0 || ffi::PyBytes_CheckExact(left) != 0 {
            return compare(left, right);
        }
        if ffi::PyFloat_CheckExact(left) != 0 {
            return same_bits(ffi::PyFloat_AS_DOUBLE(left), ffi::PyFloat_AS_DOUBLE(right));
        }
        if ffi::PyComplex_CheckExact(left) != 0 {
            return same_bits(
                ffi::PyComplex_RealAsDouble(left),
                ffi::PyComplex_RealAsDouble(right),
            ) && same_bits(
                ffi::PyComplex_ImagAsDouble(left),
                ffi::PyComplex_ImagAsDouble(right),
            );
        }
        if ffi::PyTuple_Check(left) != 0 {
            return equal_tuples(left, right);
        }
        if ffi::PyFrozenSet_CheckExact(left) != 0 {
            return equal_sets(left, right);
        }
        if ffi::Py_TYPE(left) == &raw mut ffi::PyRange_Type {
            return [c"start", c"stop", c"step"]
                .iter()
                .all(|name| equal_field(left, right, name));
        }
        if ffi::Py_TYPE(left) == &raw mut ffi::PySlice_Type {
            let (left, right) = (
                left.cast::<ffi::PySliceObject>(),
                right.cast::<ffi::PySliceObject>(),
            );
            return equal((*left).start, (*right).start)
                && equal((*left).stop, (*right).stop)
                && equal((*left).step, (*right).step);
        }
        torch_abi::is_plain_value_type(ffi::Py_TYPE(left)) && compare(left, right)
    }
}

fn same_bits(left: f64, right: f64) -> bool {
    left.to_bits() == right.to_bits()
}

/// `left == right` for objects whose comparison is C code that calls nobody.
unsafe fn compare(left: Object, right: Object) -> bool {
    // SAFETY: live objects; an error is dropped.
    unsafe {
        let answer = ffi::PyObject_RichCompareBool(left, right, ffi::Py_EQ);
        if answer < 0 {
            ffi::PyErr_Clear();
        }
        answer == 1
    }
}

unsafe fn equal_tuples(left: Object, right: Object) -> bool {
    // SAFETY: both are tuples (of one type), which hold their items.
    unsafe {
        let count = ffi::PyTuple_GET_SIZE(left);
        count == ffi::PyTuple_GET_SIZE(right)
            && (0..count).all(|index| {
                equal(
                    ffi::PyTuple_GET_ITEM(left, index),
                    ffi::PyTuple_GET_ITEM(right, index),
                )
            })
    }
}

/// Whether two sets have the same members, told apart by type too.
///
/// # Safety
/// Both are sets or frozensets; the thread is attached.
pub unsafe fn equal_sets(left: Object, right: Object) -> bool {
    // SAFETY: sets hold their members; nothing below runs user code, so they do not change.
    unsafe {
        if ffi::PySet_GET_SIZE(left) != ffi::PySet_GET_SIZE(right) {
            return false;
        }
        let (mut position, mut member, mut hash) = (0, null_mut(), 0);
        while _PySet_NextEntry(left, &raw mut position, &raw mut member, &raw mut hash) != 0 {
            if !has_member(right, member, hash) {
                return false;
            }
        }
        true
    }
}

/// Whether a set has a member that equals `wanted` and has its type.
unsafe fn has_member(set: Object, wanted: Object, wanted_hash: ffi::Py_hash_t) -> bool {
    // SAFETY: as in `equal_sets`.
    unsafe {
        let (mut position, mut member, mut hash) = (0, null_mut(), 0);
        while _PySet_NextEntry(set, &raw mut position, &raw mut member, &raw mut hash) != 0 {
            if hash == wanted_hash && equal(member, wanted) {
                return true;
            }
        }
        false
    }
}

/// Whether an attribute kept by a C structure is equal on both.
unsafe fn equal_field(left: Object, right: Object, name: &std::ffi::CStr) -> bool {
    // SAFETY: live objects of a built-in type; the new references are released below.
    unsafe {
        let of_left = ffi::PyObject_GetAttrString(left, name.as_ptr());
        let of_right = ffi::PyObject_GetAttrString(right, name.as_ptr());
        let same = !of_left.is_null() && !of_right.is_null() && equal(of_left, of_right);
        ffi::Py_XDECREF(of_left);
        ffi::Py_XDECREF(of_right);
        if !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
        }
        same
    }
}
