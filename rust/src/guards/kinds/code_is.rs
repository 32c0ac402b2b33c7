//! A Python function with one code object.

use super::{Builder, Description, Kind};
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;

/// See the file's head.
pub struct CodeIs {
    expected: Object,
}

impl Kind for CodeIs {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            expected: builder.keep(&description.one()?),
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the exact type is checked before the structure is read.
        unsafe {
            ffi::Py_TYPE(value) == &raw mut ffi::PyFunction_Type
                && (*value.cast::<ffi::PyFunctionObject>()).func_code == self.expected
        }
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: the guard holds, so it is a function; the type is kept first.
        unsafe {
            words.keep_type(value, firm);
            words.keep(&raw const (*value.cast::<ffi::PyFunctionObject>()).func_code);
        }
        true
    }
}
