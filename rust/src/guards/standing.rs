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
//!    that the object at an address is wanted there, not that it is the one from before.
//! 3. An object that a call brings (an argument) is fetched and guarded by each call. If facts stand on it, it is
//!    *pinned*: the words hold for that object only. So each of many layers that share an entry has words of its
//!    own, which are found by the first argument that is pinned.
//! 4. Where a word is left out because its object is watched, nothing may be missed that would have shown in it, nor
//!    in the order of law 1: of a class that may be freed, whose address another may get, the word is read.
//! 5. What changes again and again, such as the dictionary with a counter in it, is walked from then on.

use super::access::Access;
use super::kinds::Guard;
use super::tree::{GuardTree, NO_SLOT, Node};
use super::versions::dict_version_place;
use super::watchers;
use crate::objects::{Object, Released};
use crate::torch_abi;
use pyo3::ffi;
use std::collections::HashSet;
use std::mem::offset_of;
use std::ops::Range;
use std::ptr::null;

/// So many changes of one object, with few hits between them, and it is walked instead.
const TOO_MANY: u8 = 3;
/// A change after so many hits is a rare one.
const RARE: u32 = 64;
/// For so many objects in an argument's place words are kept. When as many came one after another and none came
/// twice, that argument is walked instead.
const MOST_PINNED: usize = 200;

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
struct Word {
    place: *const u64,
    expected: u64,
}

/// Words in the order in which they may be read.
#[derive(Default)]
struct Places {
    words: Vec<Word>,
    /// The node from whose object each word was read.
    owners: Vec<u32>,
}

/// The words of a walk.
pub struct Words<'a> {
    all: Places,
    /// Those that no watcher speaks for.
    unwatched: Places,
    owner: u32,
    seen: HashSet<usize>,
    /// What the tree keeps alive.
    held: &'a HashSet<usize>,
}

impl<'a> Words<'a> {
    fn new(held: &'a HashSet<usize>) -> Self {
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

/// So many steps ahead memory is asked for: as many as fit into the time that it takes to come.
const AHEAD: usize = 6;

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

/// All that the walks of a tree left behind.
#[derive(Default)]
pub struct Remembered {
    /// One for each object in the place of the argument that is pinned, the latest used first.
    standing: Vec<Standing>,
    /// How often an object changed, by node.
    changes: Vec<u8>,
    /// How many came since one stood.
    in_vain: usize,
}

impl Remembered {
    /// The facts that may stand for a call, moved to the front; None where the tree must be walked.
    ///
    /// # Safety
    /// `arguments` are those of a call of the tree.
    #[inline]
    pub unsafe fn find(&mut self, arguments: *const Object) -> Option<&mut Standing> {
        let is_for = |standing: &Standing| {
            // SAFETY: the caller's promise.
            standing
                .pinned
                .is_none_or(|(_, number, object)| unsafe { *arguments.add(number) } == object)
        };
        let found = self.standing.iter().position(is_for)?;
        self.standing.swap(0, found);
        Some(&mut self.standing[0])
    }

    /// The first facts do not stand any more, since the object of `node` changed.
    pub fn forget_first(&mut self, node: usize) {
        let forgotten = self.standing.swap_remove(0);
        if self.changes.len() <= node {
            self.changes.resize(node + 1, 0);
        }
        let count = &mut self.changes[node];
        *count = if forgotten.hits >= RARE { 1 } else { *count + 1 };
    }

    /// The first facts rest on a watcher that is gone.
    pub fn drop_first(&mut self) {
        self.standing.swap_remove(0);
    }

    /// A walk has hit with `values`, and what was remembered did not help.
    ///
    /// # Safety
    /// As for [`Standing::take`].
    pub unsafe fn remember(&mut self, tree: &GuardTree, values: &[Object]) {
        let useful = self.standing.first().is_some_and(|last| last.hits > 0);
        self.in_vain = if useful { 0 } else { self.in_vain + 1 };
        if self.in_vain > MOST_PINNED
            && let Some((node, ..)) = self.standing.first().and_then(|last| last.pinned)
        {
            self.standing.clear();
            self.changes.resize(values.len(), 0);
            self.changes[node] = TOO_MANY;
        }
        self.standing.truncate(MOST_PINNED);
        // SAFETY: the caller's promise.
        self.standing
            .push(unsafe { Standing::take(tree, values, &self.changes) });
        let last = self.standing.len() - 1;
        self.standing.swap(0, last);
    }

    /// How many words there are for a call like the last, how many of them are compared while the epoch is the same,
    /// and how many steps are walked besides.
    pub fn sizes(&self) -> Option<(usize, usize, usize)> {
        self.standing.first().map(|first| {
            (
                first.all.words.len(),
                first.unwatched.words.len(),
                first.steps.len(),
            )
        })
    }
}

/// Standing facts while they are taken, node by node.
struct Taking<'a> {
    tree: &'a GuardTree,
    values: &'a [Object],
    changes: &'a [u8],
    words: Words<'a>,
    steps: Vec<Step>,
    known: Vec<Known>,
}

impl Taking<'_> {
    /// # Safety
    /// As for [`Standing::take`]; the nodes before this one have been taken.
    unsafe fn node(&mut self, index: usize, node: &Node, guards: Range<usize>) {
        // SAFETY: the caller's promise.
        let stands = unsafe { self.stands(index, node) };
        let kinds = &self.tree.guards()[guards.clone()];
        let typed = kinds.iter().any(Guard::fixes_type);
        let changing = self.changes.get(index).is_some_and(|&count| count >= TOO_MANY);
        if stands == Stands::No {
            self.known[index] = Known {
                stands: false,
                firm: false,
                readable: typed && !changing,
                step: self.steps.len(),
            };
            self.step(index, Task::Fetch { pinned: false });
            return;
        }
        if !node.access.is_root() {
            self.pin(node.parent);
        }
        let firm = stands == Stands::Firm || kinds.iter().any(Guard::fixes_object);
        let readable = !changing && (firm || typed || node.access.gives_known_layout());
        self.known[index] = Known {
            stands: true,
            firm,
            readable,
            step: 0,
        };
        self.words.owner = index as u32;
        let value = self.values[index];
        for guard in guards {
            // SAFETY: the object is readable.
            let covered =
                readable && unsafe { self.tree.guards()[guard].standing(value, firm, &mut self.words) };
            if !covered {
                self.step(index, Task::Check { guard });
            }
        }
    }

    /// # Safety
    /// As for [`Self::node`].
    unsafe fn stands(&mut self, index: usize, node: &Node) -> Stands {
        match node.access {
            Access::Held(_) => Stands::Firm,
            Access::Argument(_) | Access::HandledException(_) => Stands::No,
            _ if self.known[node.parent].readable => {
                self.words.owner = node.parent as u32;
                let (parent, firm) = (self.values[node.parent], self.known[node.parent].firm);
                // SAFETY: the parent is readable: firm, or of a type that is checked before.
                unsafe {
                    node.access
                        .standing(parent, self.values[index], firm, &mut self.words)
                }
            }
            _ => Stands::No,
        }
    }

    fn step(&mut self, node: usize, task: Task) {
        self.steps.push(Step {
            all_end: self.words.all.words.len() as u32,
            unwatched_end: self.words.unwatched.words.len() as u32,
            node,
            task,
            ahead: [null(); 3],
        });
    }

    /// Tells each step where the one [`AHEAD`] of it reads a tensor.
    fn look_ahead(&mut self) {
        let Some(layout) = torch_abi::layout() else {
            return;
        };
        for index in 0..self.steps.len().saturating_sub(AHEAD) {
            let node = self.steps[index + AHEAD].node;
            let first = node
                .checked_sub(1)
                .map_or(0, |before| self.tree.nodes()[before].guards_end);
            let guards = &self.tree.guards()[first..self.tree.nodes()[node].guards_end];
            if guards.iter().any(Guard::reads_tensor_directly) {
                // SAFETY: the guard holds, so it is a tensor.
                self.steps[index].ahead = unsafe { layout.places(self.values[node]) };
            }
        }
    }

    /// The object that others stand on is the same in every call, or they don't stand.
    fn pin(&mut self, node: usize) {
        let known = self.known[node];
        if !known.stands {
            self.steps[known.step].task = Task::Fetch { pinned: true };
        }
    }

    /// Whether the node's object can't change while the facts stand.
    fn stays(&self, node: usize) -> bool {
        let known = self.known[node];
        known.stands || matches!(self.steps[known.step].task, Task::Fetch { pinned: true })
    }

    fn finish(mut self) -> Standing {
        self.look_ahead();
        let groups = self.tree.distinct().iter().enumerate();
        let changing =
            groups.filter(|(_, group)| !group.nodes().iter().all(|&node| self.stays(node as usize)));
        let pinned = self.steps.iter().find_map(|step| {
            let access = &self.tree.nodes()[step.node].access;
            match (&step.task, access) {
                (Task::Fetch { pinned: true }, Access::Argument(number)) => {
                    Some((step.node, *number, self.values[step.node]))
                }
                _ => None,
            }
        });
        let mut slots = vec![0; self.tree.slot_count()];
        for (index, node) in self.tree.nodes().iter().enumerate() {
            if node.slot != NO_SLOT {
                slots[node.slot] = index;
            }
        }
        Standing {
            distinct: changing.map(|(index, _)| index).collect(),
            all: self.words.all,
            unwatched: self.words.unwatched,
            epoch: watchers::epoch(),
            generation: watchers::generation(),
            steps: self.steps.into(),
            values: self.values.into(),
            slots: slots.into(),
            pinned,
            hits: 0,
        }
    }
}

impl Standing {
    /// The standing facts of a walk that has just hit with `values`.
    ///
    /// # Safety
    /// `values` are the live objects of all nodes, for which everything holds; nothing has run since.
    unsafe fn take(tree: &GuardTree, values: &[Object], changes: &[u8]) -> Self {
        let held = tree.held();
        let mut taking = Taking {
            tree,
            values,
            changes,
            words: Words::new(&held),
            steps: Vec::new(),
            known: vec![Known::default(); values.len()],
        };
        let mut first_guard = 0;
        for (index, node) in tree.nodes().iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { taking.node(index, node, first_guard..node.guards_end) };
            first_guard = node.guards_end;
        }
        taking.finish()
    }

    /// Checks a call; on a hit the slots have new references.
    ///
    /// # Safety
    /// As for [`GuardTree::evaluate`]; the tree is the one whose walk was remembered, and torch's state holds.
    #[inline]
    pub unsafe fn check(
        &mut self,
        tree: &GuardTree,
        arguments: *const Object,
        slots: &mut [Object],
        owned: &mut Released,
    ) -> Answer {
        let epoch = watchers::epoch();
        // SAFETY: the caller's promise.
        unsafe {
            if self.epoch == epoch {
                return self.check_words::<false>(tree, arguments, slots, owned);
            }
            if self.generation != watchers::generation() {
                return Answer::Stale;
            }
            let answer = self.check_words::<true>(tree, arguments, slots, owned);
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
    unsafe fn check_words<const ALL: bool>(
        &mut self,
        tree: &GuardTree,
        arguments: *const Object,
        slots: &mut [Object],
        owned: &mut Released,
    ) -> Answer {
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

/// What is known of a node's object while standing facts are taken.
#[derive(Clone, Copy, Default)]
struct Known {
    stands: bool,
    firm: bool,
    /// Words may be read from it.
    readable: bool,
    /// The step that fetches it, if it does not stand.
    step: usize,
}

/// The first word that is not as it was.
///
/// # Safety
/// Law 1: each place may be read if the words before it hold.
#[inline]
unsafe fn first_changed(words: &[Word]) -> Option<usize> {
    // SAFETY: the caller's promise.
    words
        .iter()
        .position(|word| unsafe { *word.place } != word.expected)
}
