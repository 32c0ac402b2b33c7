//! The number of items in the C storage of a built-in container.

use super::{Builder, Description, Kind};
use crate::guards::access::storage_type;
use crate::guards::python::dict_size;
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;

/// See the file's head.
pub struct Length {
    expected: ffi::Py_ssize_t,
}

impl Kind for Length {
    fn parse(description: &Description<'_>, _builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            expected: description.one()?.extract()?,
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the type is checked before the structure is read.
        unsafe {
            let length = if ffi::PyTuple_Check(value) != 0 {
                ffi::PyTuple_GET_SIZE(value)
            } else if ffi::PyList_Check(value) != 0 {
                ffi::PyList_GET_SIZE(value)
            } else if ffi::PyDict_Check(value) != 0 {
                dict_size(value)
            } else if ffi::PyAnySet_Check(value) != 0 {
                ffi::PySet_GET_SIZE(value)
            } else {
                other_length(value)
            };
            length == self.expected
        }
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: the type is kept first, then it may be read as what it is.
        unsafe {
            words.keep_type(value, firm);
            if ffi::PyDict_Check(value) != 0 {
                return words.keep_dict(value);
            }
            if ffi::PyTuple_Check(value) != 0 && firm {
                return true; // a tuple keeps its length
            }
            let sized = ffi::PyTuple_Check(value) != 0 || ffi::PyList_Check(value) != 0;
            if sized {
                words.keep(&raw const (*value.cast::<ffi::PyVarObject>()).ob_size);
            }
            sized
        }
    }
}

/// The length of a deque or of another C sequence, -1 for anything else.
unsafe fn other_length(value: Object) -> ffi::Py_ssize_t {
    // SAFETY: the slot of a C type is called with an object that has its storage.
    unsafe {
        let storage = storage_type(ffi::Py_TYPE(value));
        if storage.is_null() || (*storage).tp_as_sequence.is_null() {
            return -1;
        }
        (*(*storage).tp_as_sequence)
            .sq_length
            .map_or(-1, |length| length(value))
    }
}
