//! The same object as at an earlier node.

use super::{Builder, Description, Kind};
use crate::objects::Object;
use pyo3::prelude::*;

/// See the file's head.
pub struct SameAs {
    other: usize,
}

impl Kind for SameAs {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        Ok(Self {
            other: builder.earlier(&description.one()?)?,
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, values: &[Object]) -> bool {
        value == values[self.other]
    }
}
