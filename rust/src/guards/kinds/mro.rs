//! A class with exactly this method resolution order.

use super::{Builder, Description, Kind};
use crate::guards::python::has_flags;
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;

/// See the file's head.
pub struct Mro {
    expected: Object,
}

impl Kind for Mro {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            expected: builder.keep_tuple(description)?,
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the type is checked before the structure is read; the order is a tuple.
        unsafe {
            if !has_flags(value, ffi::Py_TPFLAGS_TYPE_SUBCLASS) {
                return false;
            }
            let order = (*value.cast::<ffi::PyTypeObject>()).tp_mro;
            let count = ffi::PyTuple_GET_SIZE(self.expected);
            order == self.expected
                || ffi::PyTuple_GET_SIZE(order) == count
                    && (0..count).all(|index| {
                        ffi::PyTuple_GET_ITEM(order, index) == ffi::PyTuple_GET_ITEM(self.expected, index)
                    })
        }
    }

    unsafe fn standing(&self, value: Object, _firm: bool, words: &mut Words) -> bool {
        // SAFETY: the guard holds, so it is a class.
        unsafe { words.keep_class(value) }
    }
}
