//! A key that a dictionary does not have.

use super::{Builder, Description, Kind};
use crate::guards::lookup::{Lookup, find};
use crate::guards::standing::Words;
use crate::guards::versions::dict_version;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;

/// See the file's head.
pub struct DictMissing {
    key: Object,
    hash: ffi::Py_hash_t,
    /// The number of the dictionary state in which the key was missing; see `DictItem`.
    version: Cell<u64>,
}

impl Kind for DictMissing {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        let key = description.one()?;
        Ok(Self {
            hash: key.hash()?,
            key: builder.keep(&key),
            version: Cell::new(0),
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the type is checked before the structure is read; attached.
        unsafe {
            if ffi::PyDict_Check(value) == 0 {
                return false;
            }
            let version = dict_version(value);
            if version != 0 && version == self.version.get() {
                return true;
            }
            let missing = find(value, self.key, self.hash) == Lookup::Missing;
            if missing {
                self.version.set(version);
            }
            missing
        }
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: the guard holds, so it is a dict.
        unsafe { 
            words.keep_type(value, firm);
            words.keep_dict(value)
         }
    }
}
