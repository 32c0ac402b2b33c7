//! The entries of a callable's resume points, by offset in the code. Few: found by bisection.

use crate::objects::Object;
use pyo3::ffi;

/// Owned tuples of `Entry`, in the order of their offsets.
#[derive(Default)]
pub struct ResumePoints(Vec<(u32, Object)>);

impl ResumePoints {
    /// Where the tuple of this resume point is kept, if it has one. Good until something is added.
    pub fn place(&mut self, offset: u32) -> Option<&mut Object> {
        let index = self.0.binary_search_by_key(&offset, |point| point.0).ok()?;
        Some(&mut self.0[index].1)
    }

    /// Puts a first tuple, taken over, at an offset that has none.
    pub fn insert(&mut self, offset: u32, entries: Object) {
        let index = self.0.partition_point(|point| point.0 < offset);
        self.0.insert(index, (offset, entries));
    }

    /// The offsets with entries, and the tuples, borrowed.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Object)> + '_ {
        self.0.iter().copied()
    }

    /// Releases every tuple.
    ///
    /// # Safety
    /// The thread is attached.
    pub unsafe fn release(self) {
        for (_, entries) in self.0 {
            // SAFETY: owned, and not reachable from the callable any more.
            unsafe { ffi::Py_DECREF(entries) };
        }
    }
}
