//! A class whose method resolution order gives one object for a name, or nothing.

use super::{Builder, Description, Kind};
use crate::guards::access::TypeLookup;
use crate::guards::python::has_flags;
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::null_mut;

/// See the file's head.
pub struct TypeAttribute {
    lookup: TypeLookup,
    /// Null where no class of the order may have the name.
    expected: Object,
}

impl Kind for TypeAttribute {
    /// `("type_attribute", name, is_present, expected, after)`.
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        let [name, is_present, expected, after] = description.arguments()?;
        let expected = if is_present.extract()? {
            builder.keep(&expected)
        } else {
            null_mut()
        };
        Ok(Self {
            lookup: TypeLookup::new(&name, &after, builder)?,
            expected,
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: a live object; attached.
        unsafe {
            has_flags(value, ffi::Py_TPFLAGS_TYPE_SUBCLASS) && self.lookup.fetch(value) == self.expected
        }
    }

    unsafe fn standing(&self, value: Object, _firm: bool, words: &mut Words) -> bool {
        // SAFETY: the guard holds, so it is a class.
        unsafe { words.keep_class(value) }
    }
}
