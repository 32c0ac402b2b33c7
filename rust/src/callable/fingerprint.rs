//! What a call looks like at a glance, to try the entry first that a call like it has hit before.
//!
//! With many live entries, asking one after the other costs a miss each. Most of them differ in what the arguments
//! are: sizes of tensors, numbers, strings. A fingerprint is a hash of just that. Where it says that an entry is the
//! likely one and the entry's guards say no, what they looked at when they did is a good *question*, such as an
//! attribute of a module or a global: from then on the answer is part of the fingerprint. So the entries of a resume
//! point become a decision tree of one level, with as many branches as there are answers.
//!
//! A fingerprint decides nothing, the guards of the entry do: two calls may have one fingerprint, and one entry may
//! serve many.

use crate::cache::Entry;
use crate::objects::{Object, Released};
use crate::torch_abi;
use pyo3::ffi;
use std::sync::atomic::{AtomicU32, Ordering};

/// The fingerprint of no call.
pub const NONE: u64 = 0;

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// So many questions are asked at most.
const MOST_QUESTIONS: usize = 4;

/// The node of an entry's tree whose object calls are asked for.
pub struct Question(AtomicU32);

impl Question {
    /// Not thought of yet.
    const OPEN: u32 = u32::MAX;
    /// There is none that would help.
    const NONE: u32 = u32::MAX - 1;

    /// The node, if there is one.
    pub fn node(&self) -> Option<usize> {
        let node = self.0.load(Ordering::Relaxed);
        (node < Self::NONE).then_some(node as usize)
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::OPEN
    }

    fn set(&self, node: Option<usize>) {
        let node = node.and_then(|node| u32::try_from(node).ok());
        self.0.store(node.unwrap_or(Self::NONE), Ordering::Relaxed);
    }
}

impl Default for Question {
    fn default() -> Self {
        Self(AtomicU32::new(Self::OPEN))
    }
}

#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(MULTIPLIER).rotate_left(29)
}

/// The entries of a tuple.
///
/// # Safety
/// `entries` is a live tuple of `Entry`.
unsafe fn each<'a>(entries: Object) -> impl Iterator<Item = &'a Entry> {
    // SAFETY: the caller's promise.
    unsafe {
        (0..ffi::PyTuple_GET_SIZE(entries))
            .map(move |index| Entry::from_pointer(ffi::PyTuple_GET_ITEM(entries, index)))
    }
}

/// The fingerprint of a call with these arguments, whatever the order of the entries. Runs no user code.
///
/// # Safety
/// `entries` is a live tuple of `Entry`, the arguments are live objects; the thread is attached, with no exception
/// set.
pub unsafe fn fingerprint(entries: Object, arguments: &[Object]) -> u64 {
    let mut hash = MULTIPLIER;
    for &argument in arguments {
        // SAFETY: a live object.
        hash = mix(hash, unsafe { glance(argument) });
    }
    // SAFETY: the caller's promise.
    for entry in unsafe { each(entries) } {
        if let Some(node) = entry.question.node()
            && entry.argument_count == arguments.len()
        {
            let mut owned = Released::new();
            // SAFETY: the tree reads as many arguments as there are, and has the node, since it missed there.
            unsafe {
                let object = entry.tree.get().object_at(node, arguments.as_ptr(), &mut owned);
                let answer = if object.is_null() { 0 } else { glance(object) };
                hash = hash.wrapping_add(mix(std::ptr::from_ref(entry) as u64, answer));
                owned.release();
            }
        }
    }
    hash | 1
}

/// `likely`, one of the entries, has the fingerprint of this call, which it does not hold for: from now on calls are
/// asked where it missed, if that can be said and they are not asked much already.
///
/// # Safety
/// As for [`fingerprint`]; `likely` is a live `Entry`.
#[cold]
pub unsafe fn ask_for_difference(entries: Object, likely: Object, arguments: &[Object]) {
    // SAFETY: the caller's promise.
    unsafe {
        let entry = Entry::from_pointer(likely);
        let asked = each(entries)
            .filter(|entry| entry.question.node().is_some())
            .count();
        if entry.question.is_open() && asked < MOST_QUESTIONS && entry.argument_count == arguments.len() {
            entry
                .question
                .set(entry.tree.get().failing_node(arguments.as_ptr()));
        }
    }
}

/// # Safety
/// `object` is live; the thread is attached, with no exception set.
unsafe fn glance(object: Object) -> u64 {
    // SAFETY: each structure is read behind a check of the exact type; the hashes are those of C types, which
    // call nobody and don't fail.
    unsafe {
        let class = ffi::Py_TYPE(object);
        let hashed = ffi::PyLong_CheckExact(object) != 0
            || ffi::PyUnicode_CheckExact(object) != 0
            || ffi::PyFloat_CheckExact(object) != 0;
        let word = if hashed {
            ffi::PyObject_Hash(object) as u64
        } else if ffi::PyTuple_CheckExact(object) != 0 || ffi::PyList_CheckExact(object) != 0 {
            ffi::Py_SIZE(object) as u64
        } else if ffi::PyDict_CheckExact(object) != 0 {
            ffi::PyDict_Size(object) as u64
        } else if torch_abi::is_exact_tensor(object) {
            torch_abi::layout().map_or(0, |layout| layout.metadata(object).fold(0, mix))
        } else {
            object as u64
        };
        mix(class as u64, word)
    }
}
