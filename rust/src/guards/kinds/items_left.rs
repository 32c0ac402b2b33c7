//! How many items an iterator of C has left.

use super::{Builder, Description, Kind};
use crate::guards::iterators::{Next, Part, next_of, not_behind};
use crate::objects::{Object, Released};
use pyo3::ffi::Py_ssize_t;
use pyo3::prelude::*;

/// See the file's head.
pub struct ItemsLeft {
    at_least: Py_ssize_t,
    /// There are no more than that.
    ended: bool,
}

impl Kind for ItemsLeft {
    fn parse(description: &Description<'_>, _builder: &mut Builder) -> PyResult<Self> {
        let [at_least, ended] = description.arguments()?;
        Ok(Self {
            at_least: not_behind(at_least.extract()?)?,
            ended: ended.extract()?,
        })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        let mut owned = Released::new();
        // SAFETY: a live object; whether it is an iterator that can be read is checked there.
        unsafe {
            let item = |ahead, owned: &mut Released| next_of(value, ahead, Part::Key, owned);
            let holds = (self.at_least == 0
                || matches!(item(self.at_least - 1, &mut owned), Some(Next::Item(_))))
                && (!self.ended || matches!(item(self.at_least, &mut owned), Some(Next::End)));
            owned.release();
            holds
        }
    }
}
