//! Words: places in memory, and what was there when a walk hit.

use crate::guards::lookup::table_place;
use crate::guards::versions::dict_version_place;
use crate::guards::watchers;
use crate::objects::Object;
use pyo3::ffi;
use std::collections::HashSet;
use std::mem::offset_of;

/// What stands of an object that was fetched from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// Each call fetches it.
    No,
    /// While the words hold, an object is at this address.
    There,
    /// While the words hold, it is this object.
    Firm,
}

/// A place and what it held.
pub struct Word {
    place: *const u64,
    expected: u64,
}

/// Words in the order in which they may be read.
#[derive(Default)]
pub struct Places {
    pub words: Vec<Word>,
    /// The node from whose object each word was read.
    pub owners: Vec<u32>,
}

/// The words of a walk.
pub struct Words<'a> {
    pub all: Places,
    /// Those that no watcher speaks for.
    pub unwatched: Places,
    /// The node from whose object words are read now.
    pub owner: u32,
    seen: HashSet<usize>,
    /// What the tree keeps alive.
    held: &'a HashSet<usize>,
}

impl<'a> Words<'a> {
    /// No words yet.
    pub fn new(held: &'a HashSet<usize>) -> Self {
        Self {
            all: Places::default(),
            unwatched: Places::default(),
            owner: 0,
            seen: HashSet::new(),
            held,
        }
    }
}

impl Places {
    fn push(&mut self, word: Word, owner: u32) {
        self.words.push(word);
        self.owners.push(owner);
    }
}

impl Words<'_> {
    /// What is at `place` now must be there at every call.
    ///
    /// # Safety
    /// `place` is an aligned word of the object whose facts are being taken.
    pub unsafe fn keep<T>(&mut self, place: *const T) {
        // SAFETY: the caller's promise.
        unsafe { self.keep_unless(place, || false) };
    }

    /// What is at `place` now must be there at every call; `watch` says whether a change of it changes the epoch.
    ///
    /// # Safety
    /// As for [`Self::keep`].
    unsafe fn keep_unless<T>(&mut self, place: *const T, watch: impl FnOnce() -> bool) {
        let place = place.cast::<u64>();
        if self.seen.insert(place as usize) {
            let watched = watch();
            // SAFETY: the caller's promise.
            let expected = unsafe { *place };
            self.all.push(Word { place, expected }, self.owner);
            if !watched {
                self.unwatched.push(Word { place, expected }, self.owner);
            }
        }
    }

    /// The object keeps its type. Of one and the same object, only a class made in Python can be exchanged, and
    /// that of a module for one.
    ///
    /// # Safety
    /// As for [`Self::keep`].
    pub unsafe fn keep_type(&mut self, object: Object, firm: bool) {
        // SAFETY: the caller's promise.
        unsafe {
            let class = ffi::Py_TYPE(object);
            let exchangeable =
                (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE != 0 || class == &raw mut ffi::PyModule_Type;
            // A watched dictionary would have said that it is freed: there is no other object at its address.
            let watch = || {
                class == &raw mut ffi::PyDict_Type
                    && !dict_version_place(object).is_null()
                    && watchers::watch_dict(object)
            };
            if !firm || exchangeable {
                self.keep_unless(&raw const (*object).ob_type, watch);
            }
        }
    }

    /// The dictionary keeps its state, as far as this CPython numbers it.
    ///
    /// # Safety
    /// As for [`Self::keep`], and `dict` is a dict.
    pub unsafe fn keep_dict(&mut self, dict: Object) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let place = dict_version_place(dict);
            if !place.is_null() {
                self.keep_unless(place, || watchers::watch_dict(dict));
            }
            !place.is_null()
        }
    }

    /// The dictionary, whose state is kept, has what it has now at a place in its table.
    ///
    /// # Safety
    /// As for [`Self::keep_dict`], and `place` is in the table of `dict`.
    pub unsafe fn keep_item(&mut self, dict: Object, place: *const Object) {
        // SAFETY: the caller's promise. Law 1: the table is the dictionary's, and the place is in that table.
        unsafe {
            self.keep_unless(table_place(dict), || watchers::watch_dict(dict));
            self.keep_unless(place, || watchers::watch_dict(dict));
        }
    }

    /// The class keeps its attributes and those of its bases, if it is numbered.
    ///
    /// # Safety
    /// As for [`Self::keep`], and `class` is a class.
    #[allow(clippy::cast_ptr_alignment)] // the tag follows a pointer
    pub unsafe fn keep_class(&mut self, class: Object) -> bool {
        // SAFETY: the caller's promise; the tag shares its word with padding.
        unsafe {
            let tag = &raw const (*class.cast::<ffi::PyTypeObject>()).tp_version_tag;
            let numbered = *tag != 0;
            if numbered {
                let held = self.held.contains(&(class as usize));
                self.keep_unless(tag, || held && watchers::watch_class(class));
            }
            numbered
        }
    }
}

const _: () = assert!(offset_of!(ffi::PyTypeObject, tp_version_tag).is_multiple_of(8));

/// The first word that is not as it was.
///
/// # Safety
/// Law 1: each place may be read if the words before it hold.
#[inline]
pub unsafe fn first_changed(words: &[Word]) -> Option<usize> {
    // SAFETY: the caller's promise.
    words
        .iter()
        .position(|word| unsafe { *word.place } != word.expected)
}
