//! Arrays of object pointers for the call path: on the stack up to a size, on the heap above it.
//!
//! They hold plain pointers and never touch a reference count: who owns the references is said where
//! an array is used.

use pyo3::ffi;
use std::mem::MaybeUninit;

/// An object pointer, borrowed or owned as its holder says.
pub type Object = *mut ffi::PyObject;

/// Most calls, graphs and exit programs have fewer objects than this and need no heap.
pub const INLINE: usize = 32;

/// Room for any number of object pointers, the first `N` of them without an allocation.
pub struct ObjectBuffer<const N: usize> {
    inline: [MaybeUninit<Object>; N],
    heap: Vec<Object>,
}

impl<const N: usize> ObjectBuffer<N> {
    /// An empty buffer; costs nothing, the room is not initialised.
    #[inline]
    pub fn new() -> Self {
        Self {
            inline: [const { MaybeUninit::uninit() }; N],
            heap: Vec::new(),
        }
    }

    /// `count` null pointers to fill in.
    #[inline]
    pub fn nulls(&mut self, count: usize) -> &mut [Object] {
        if count <= N {
            let room = &mut self.inline[..count];
            room.fill(MaybeUninit::new(std::ptr::null_mut()));
            // SAFETY: the first `count` places were just initialised.
            unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), count) }
        } else {
            self.heap.clear();
            self.heap.resize(count, std::ptr::null_mut());
            &mut self.heap
        }
    }
}

/// References to release later, in the order in which they were given.
pub struct Released {
    inline: [MaybeUninit<Object>; Self::INLINE],
    count: usize,
    heap: Vec<Object>,
}

impl Released {
    const INLINE: usize = 16;

    /// Nothing to release.
    #[inline]
    pub fn new() -> Self {
        Self {
            inline: [const { MaybeUninit::uninit() }; Self::INLINE],
            count: 0,
            heap: Vec::new(),
        }
    }

    /// Takes over one reference; null is ignored.
    #[inline]
    pub fn push(&mut self, object: Object) {
        if object.is_null() {
            return;
        }
        if self.count < Self::INLINE {
            self.inline[self.count] = MaybeUninit::new(object);
            self.count += 1;
        } else {
            self.heap.push(object);
        }
    }

    /// Takes a reference of its own; null is ignored.
    ///
    /// # Safety
    /// The thread is attached; `object` is alive or null.
    #[inline]
    pub unsafe fn push_new(&mut self, object: Object) {
        // SAFETY: the caller's promise.
        unsafe { ffi::Py_XINCREF(object) };
        self.push(object);
    }

    /// Releases everything. Finalisers may run and re-enter: nothing is borrowed from anybody here.
    ///
    /// # Safety
    /// The thread is attached, and the references are owned by this list.
    #[inline]
    pub unsafe fn release(self) {
        for object in &self.inline[..self.count] {
            // SAFETY: the first `count` places are initialised; each reference is ours.
            unsafe { ffi::Py_DECREF(object.assume_init()) };
        }
        for &object in &self.heap {
            // SAFETY: as above.
            unsafe { ffi::Py_DECREF(object) };
        }
    }
}

/// Releases an array of owned references, nulls left out.
///
/// # Safety
/// The thread is attached, and the array owns its references.
#[inline]
pub unsafe fn release_all(objects: &[Object]) {
    for &object in objects {
        // SAFETY: the caller's promise.
        unsafe { ffi::Py_XDECREF(object) };
    }
}
