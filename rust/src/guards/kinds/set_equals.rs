//! A set or frozenset with exactly these members.

use super::{Builder, Description, Kind};
use crate::guards::exact::equal_sets;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyFrozenSet;

/// See the file's head.
pub struct SetEquals {
    expected: Object,
}

impl Kind for SetEquals {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        let expected = description.one()?.cast_into::<PyFrozenSet>()?;
        Ok(Self {
            expected: builder.keep(&expected),
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the type is checked before the members are walked; attached.
        unsafe { ffi::PyAnySet_Check(value) != 0 && equal_sets(value, self.expected) }
    }
}
