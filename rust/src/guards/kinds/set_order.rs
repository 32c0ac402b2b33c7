//! A set or frozenset whose C storage holds exactly these members in this order.
//!
//! Equal sets can be iterated over in different orders, which depend on what was in them before.

use super::{Builder, Description, Kind};
use crate::guards::exact::equal;
use crate::guards::python::_PySet_NextEntry;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;

/// See the file's head.
pub struct SetOrder {
    expected: Object,
}

impl Kind for SetOrder {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            expected: builder.keep_tuple(description)?,
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the type is checked before the members are walked; nothing here runs user code; attached.
        unsafe {
            let count = ffi::PyTuple_GET_SIZE(self.expected);
            if ffi::PyAnySet_Check(value) == 0 || ffi::PySet_GET_SIZE(value) != count {
                return false;
            }
            let (mut position, mut member, mut hash) = (0, null_mut(), 0);
            for index in 0..count {
                if _PySet_NextEntry(value, &raw mut position, &raw mut member, &raw mut hash) == 0
                    || !equal(member, ffi::PyTuple_GET_ITEM(self.expected, index))
                {
                    return false;
                }
            }
            true
        }
    }
}
