//! No instance dictionary, or one with nothing in it, which no lookup can tell apart.

use super::{Builder, Description, Kind};
use crate::guards::access::instance_dict;
use crate::guards::python::dict_size;
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
}
