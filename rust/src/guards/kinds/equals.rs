//! Same exact type and same value.

use super::{Builder, Description, Kind};
use crate::guards::exact::equal;
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::prelude::*;

/// See the file's head.
pub struct Equals {
    expected: Object,
}

impl Kind for Equals {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            expected: builder.keep(&description.one()?),
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: live objects; attached.
        unsafe { equal(value, self.expected) }
    }

    unsafe fn standing(&self, _value: Object, firm: bool, _words: &mut Words) -> bool {
        firm // a value never changes
    }
}
