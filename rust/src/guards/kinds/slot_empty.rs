//! A slot of the object that holds nothing.

use super::{Builder, Description, Kind};
use crate::guards::access::Member;
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// See the file's head.
pub struct SlotEmpty {
    slot: Member,
}

impl Kind for SlotEmpty {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        let descriptor = description.one()?;
        let slot = Member::of(&descriptor, builder).ok_or_else(|| {
            PyTypeError::new_err(format!("{descriptor} is not a slot that holds an object"))
        })?;
        Ok(Self { slot })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: a live object.
        unsafe { self.slot.read(value) }.is_some_and(<*mut _>::is_null)
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: the guard holds, so it has the slot; the type is kept first.
        unsafe {
            words.keep_type(value, firm);
            words.keep(self.slot.place(value));
        }
        true
    }
}
