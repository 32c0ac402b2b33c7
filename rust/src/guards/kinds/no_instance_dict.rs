//! No instance dictionary, or one with nothing in it, which no lookup can tell apart.

use super::{Builder, Description, Kind};
use crate::guards::access::{instance_dict, instance_dict_place};
use crate::guards::python::dict_size;
use crate::guards::standing::Words;
use crate::objects::Object;
use pyo3::prelude::*;

/// See the file's head.
pub struct NoInstanceDict;

impl Kind for NoInstanceDict {
    fn parse(description: &Description<'_>, _builder: &mut Builder) -> PyResult<Self> {
        let [] = description.arguments()?;
        Ok(Self)
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: a live object; what an instance keeps there is a dict.
        unsafe {
            let dict = instance_dict(value);
            dict.is_null() || dict_size(dict) == 0
        }
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: a live object; its type says whether and where it has a dictionary.
        unsafe {
            words.keep_type(value, firm);
            let place = instance_dict_place(value);
            if place.is_null() {
                return true;
            }
            words.keep(place);
            !(*place).is_null() && words.keep_dict(*place)
        }
    }
}
