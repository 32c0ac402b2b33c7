//! Not one particular object, such as None.

use super::{Builder, Description, Kind};
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::prelude::*;

/// See the file's head.
pub struct IsNot {
    unexpected: Object,
}

impl Kind for IsNot {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            unexpected: builder.keep(&description.one()?),
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        value != self.unexpected
    }

    unsafe fn standing(&self, _value: Object, _firm: bool, _words: &mut Words) -> bool {
        true // the other object is kept alive, so its address says which it is
    }
}
