//! Standing facts: what a walk has found out and the next one need not find out again.
//!
//! Most facts of a tree hang on objects that rarely change: modules and their dictionaries, classes,
//! functions, the globals. A walk that hits is therefore remembered as *words*, places in memory whose
//! contents imply those facts: the number of a dictionary's state, the version tag of a class, the type of an
//! object, the pointer in a cell. The next call compares the words, which lie in one array in evaluation
//! order, and walks only what is left: arguments, tensors, and whatever has no word that speaks for it. Words
//! of what is watched (`watchers.rs`) are left out as long as the epoch is the same.
//!
//! Laws:
//! 1. A place is read only when the words before it say that it is still a place of the object it was in. That
//!    object is either *firm*, the very same one since the words were taken, because something that has not
//!    changed holds it; or it is at the same address and its type, which a guard keeps alive, is read first.
//! 2. A fact rests on words only if those words can't be as they were after the fact has changed. The state of
//!    a dictionary and the version of a class have numbers that are never given twice. A pointer alone says
//!    that the object at an address is wanted there, not that it is the one from before. The number of a dictionary
//!    may come late when an attribute is stored: see `Kept` in `access/lookups.rs`.
//! 3. An object that a call brings (an argument) is fetched and guarded by each call. If facts stand on it, it is
//!    *pinned*: the words hold for that object only. So each of many layers that share an entry has words of its
//!    own, which are found by the first argument that is pinned.
//! 4. Where a word is left out because its object is watched, nothing may be missed that would have shown in it, nor
//!    in the order of law 1: of a class that may be freed, whose address another may get, the word is read.
//! 5. What changes again and again, such as the dictionary with a counter in it, is walked from then on.

mod remembered;
mod taking;
mod words;

use super::tree::GuardTree;
use super::watchers;
use crate::objects::{Object, Released};
use pyo3::ffi;
pub use remembered::Remembered;
use words::{Places, first_changed};
pub use words::{Stands, Words};

enum Task {
    /// Fetch the node's object and check its guards; a pinned one must be the one from before.
    Fetch { pinned: bool },
    /// Check one guard of an object that stands.
    Check { guard: usize },
}

/// What is left to do for a call, after the words up to an end.
struct Step {
    all_end: u32,
    unwatched_end: u32,
    node: usize,
    task: Task,
    /// Where a later step will read, unless things have moved: asked of the memory now.
    ahead: [*const u8; 3],
}

/// What a walk left behind.
pub struct Standing {
    all: Places,
    unwatched: Places,
    /// The unwatched words are enough while this is the epoch.
    epoch: u64,
    /// What is watched is so while this is the generation.
    generation: u64,
    steps: Box<[Step]>,
    /// The objects of all nodes, borrowed: those that stand are there while the words hold, the others are
    /// written before they are read.
    values: Box<[Object]>,
    /// The groups of distinct objects that each call may change.
    distinct: Box<[usize]>,
    /// The node of each slot.
    slots: Box<[usize]>,
    /// The first argument that is pinned: its node, its number, and the object.
    pinned: Option<(usize, usize, Object)>,
    hits: u32,
}

/// What the standing facts say of a call.
pub enum Answer {
    Hit,
    Miss,
    /// The node whose object is not as it was: the tree must be walked.
    Changed(usize),
    /// Something is watched no longer: the tree must be walked.
    Stale,
    /// Nothing is known of these arguments: the tree must be walked.
    Unknown,
}

/// A call of the tree whose walk was remembered.
pub struct Call<'a> {
    pub tree: &'a GuardTree,
    pub arguments: *const Object,
    /// Have new references on a hit.
    pub slots: &'a mut [Object],
    /// Takes references made on the way.
    pub owned: &'a mut Released,
}

impl Standing {
    /// Checks a call.
    ///
    /// # Safety
    /// As for [`GuardTree::evaluate`]; torch's state holds.
    #[inline]
    pub unsafe fn check(&mut self, call: Call<'_>) -> Answer {
        let epoch = watchers::epoch();
        // SAFETY: the caller's promise.
        unsafe {
            if self.epoch == epoch {
                return self.check_words::<false>(call);
            }
            if self.generation != watchers::generation() {
                return Answer::Stale;
            }
            let answer = self.check_words::<true>(call);
            if matches!(answer, Answer::Hit) {
                self.epoch = epoch;
                watchers::in_vain();
            }
            answer
        }
    }

    /// [`Self::check`] by all words or by the unwatched ones.
    ///
    /// # Safety
    /// As for [`Self::check`]; the epoch is the one of the last hit unless it is `ALL` words.
    #[inline]
    unsafe fn check_words<const ALL: bool>(&mut self, call: Call<'_>) -> Answer {
        let Call {
            tree,
            arguments,
            slots,
            owned,
        } = call;
        let places = if ALL { &self.all } else { &self.unwatched };
        let mut from = 0;
        for step in &self.steps {
            let end = if ALL { step.all_end } else { step.unwatched_end } as usize;
            // SAFETY: law 1: the places are read in the order in which they were taken.
            if let Some(word) = unsafe { first_changed(&places.words[from..end]) } {
                return Answer::Changed(places.owners[from + word] as usize);
            }
            from = end;
            step.ahead.iter().for_each(|&place| prefetch(place));
            let node = &tree.nodes()[step.node];
            // SAFETY: the parent was written or stands, and so is every object that a guard compares with.
            unsafe {
                match step.task {
                    Task::Check { guard } => {
                        if !tree.guards()[guard].holds(self.values[step.node], &self.values) {
                            return Answer::Miss;
                        }
                    }
                    Task::Fetch { pinned } => {
                        let parent = self.values[node.parent];
                        let value = node.access.fetch(parent, arguments, self.values.as_ptr(), owned);
                        if value.is_null() {
                            return Answer::Miss;
                        }
                        if pinned && value != self.values[step.node] {
                            return Answer::Changed(step.node);
                        }
                        self.values[step.node] = value;
                        let first = step
                            .node
                            .checked_sub(1)
                            .map_or(0, |before| tree.nodes()[before].guards_end);
                        for guard in &tree.guards()[first..node.guards_end] {
                            if !guard.holds(value, &self.values) {
                                return Answer::Miss;
                            }
                        }
                    }
                }
            }
        }
        // SAFETY: as above.
        if let Some(word) = unsafe { first_changed(&places.words[from..]) } {
            return Answer::Changed(places.owners[from + word] as usize);
        }
        let same = |&group: &usize| !tree.distinct()[group].holds(&self.values);
        // SAFETY: the objects of all nodes are live, and their guards hold.
        if self.distinct.iter().any(same) || unsafe { tree.conditions().failed(&self.values) }.is_some() {
            return Answer::Miss;
        }
        // Memory moves without any word of its tensor's object changing: it is always compared.
        for group in tree.apart() {
            // SAFETY: as above.
            if !unsafe { group.holds(&self.values) } {
                return Answer::Miss;
            }
        }
        for (slot, &node) in slots.iter_mut().zip(&self.slots) {
            *slot = self.values[node];
            // SAFETY: a live object.
            unsafe { ffi::Py_INCREF(*slot) };
        }
        self.hits = self.hits.saturating_add(1);
        Answer::Hit
    }
}

/// Asks the memory for what is at a place, which need not exist.
#[inline]
fn prefetch(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: this reads nothing, and an address that is none is ignored.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(place.cast::<i8>(), _MM_HINT_T0);
    }
}
