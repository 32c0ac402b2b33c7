//! Exactly these keys in this order.

use super::{Builder, Description, Kind};
use crate::guards::exact::equal;
use crate::guards::python::{PyODict_Type, dict_size, without_collector};
use crate::guards::standing::Words;
use crate::guards::versions::dict_version;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::cell::Cell;
use std::ptr::null_mut;

/// See the file's head.
pub struct DictKeys {
    expected: Object,
    /// The number of a dictionary state that had these keys; see `DictItem`.
    version: Cell<u64>,
}

impl Kind for DictKeys {
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        let expected = description.one()?.cast_into::<PyTuple>()?;
        Ok(Self {
            expected: builder.keep(&expected),
            version: Cell::new(0),
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the type is checked before the structure is read; attached.
        unsafe {
            if ffi::PyDict_Check(value) == 0 || dict_size(value) != ffi::PyTuple_GET_SIZE(self.expected) {
                return false;
            }
            if ffi::PyObject_TypeCheck(value, &raw mut PyODict_Type) != 0 {
                return self.holds_for_ordered(value);
            }
            let version = dict_version(value);
            if version != 0 && version == self.version.get() {
                return true;
            }
            let (mut position, mut key) = (0, null_mut());
            for index in 0..ffi::PyTuple_GET_SIZE(self.expected) {
                if ffi::PyDict_Next(value, &raw mut position, &raw mut key, null_mut()) == 0
                    || !equal(key, ffi::PyTuple_GET_ITEM(self.expected, index))
                {
                    return false;
                }
            }
            self.version.set(version);
            true
        }
    }

    unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
        // SAFETY: the guard holds, so it is a dict. The order of an `OrderedDict` is not part of its number.
        unsafe {
            if ffi::PyObject_TypeCheck(value, &raw mut PyODict_Type) != 0 {
                return false;
            }
            words.keep_type(value, firm);
            words.keep_dict(value)
        }
    }
}

impl DictKeys {
    /// An `OrderedDict` keeps an order of its own, which its C iterator follows.
    ///
    /// # Safety
    /// `value` is an `OrderedDict` or of a subclass, with as many keys as expected; attached.
    unsafe fn holds_for_ordered(&self, value: Object) -> bool {
        // SAFETY: the iterator of the C type is used also for subclasses; it calls nobody. References to
        // the iterator and the keys are released here, and the dictionary holds the keys.
        unsafe {
            let Some(iterate) = PyODict_Type.tp_iter else {
                return false;
            };
            let keys = without_collector(|| iterate(value));
            let mut same = !keys.is_null();
            let mut index = 0;
            while same && index < ffi::PyTuple_GET_SIZE(self.expected) {
                let key = ffi::PyIter_Next(keys);
                same = !key.is_null() && equal(key, ffi::PyTuple_GET_ITEM(self.expected, index));
                ffi::Py_XDECREF(key);
                index += 1;
            }
            ffi::Py_XDECREF(keys);
            if !ffi::PyErr_Occurred().is_null() {
                ffi::PyErr_Clear();
            }
            same
        }
    }
}
