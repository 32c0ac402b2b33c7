//! Identity with one object.

use super::{Builder, Description, Kind};
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::prelude::*;

/// See the file's head.
pub struct Is {
    expected: Object,
}

impl Kind for Is {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            expected: builder.keep(&description.one()?),
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        value == self.expected
    }

    unsafe fn standing(&self, _value: Object, _firm: bool, _words: &mut Words) -> bool {
        true // the other object is kept alive, so its address says which it is
    }
}
