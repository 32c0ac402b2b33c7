//! The exact type.

use super::{Builder, Description, Kind};
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;

/// See the file's head.
pub struct TypeIs {
    expected: Object,
}

impl Kind for TypeIs {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            expected: builder.keep_class(&description.one()?)?,
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::Py_TYPE(value).cast() == self.expected }
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: the caller's promise.
        unsafe { words.keep_type(value, firm) };
        true
    }
}
