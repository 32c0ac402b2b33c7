//! A closure cell that holds nothing.

use super::{Builder, Description, Kind};
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;

/// See the file's head.
pub struct CellEmpty;

impl Kind for CellEmpty {
    fn parse(description: &Description<'_>, _builder: &mut Builder) -> PyResult<Self> {
        let [] = description.arguments()?;
        Ok(Self)
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the exact type is checked before the structure is read.
        unsafe {
            ffi::Py_TYPE(value) == &raw mut ffi::PyCell_Type
                && (*value.cast::<ffi::PyCellObject>()).ob_ref.is_null()
        }
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: the guard holds, so it is a cell; the type is kept first.
        unsafe {
            words.keep_type(value, firm);
            words.keep(&raw const (*value.cast::<ffi::PyCellObject>()).ob_ref);
        }
        true
    }
}
