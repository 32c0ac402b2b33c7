//! Walks: every node is fetched and its guards are checked, or what the last walk found out stands.

use super::{GuardTree, NO_SLOT, Node};
use crate::guards::access::Access;
use crate::guards::standing::{Answer, Call};
use crate::objects::{Object, Released, release_all};
use pyo3::ffi;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

/// The first thing that did not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The tree was cleared by the garbage collector.
    Cleared,
    State,
    Fetch(usize),
    Guard(usize, usize),
    Distinct(usize),
    Apart(usize),
    Condition(usize),
}

/// Trees of up to this many nodes are walked on the stack alone.
const NODES_ON_STACK: usize = 96;
/// Trees with fewer nodes are walked faster than remembered.
const WORTH_IT: usize = 16;

impl GuardTree {
    /// Whether everything holds for a call with these arguments; `slots` has new references then, and else nulls.
    ///
    /// # Safety
    /// `arguments` points to `argument_count` live objects; the thread is attached, with no exception set;
    /// the caller holds a reference to this tree. `slots` has `slot_count` places.
    #[inline]
    pub unsafe fn evaluate(&self, arguments: *const Object, slots: &mut [Object]) -> bool {
        debug_assert_eq!(slots.len(), self.slot_count);
        // SAFETY: the caller's promise; what the slots borrow is alive until the walk ends.
        unsafe {
            if let Some(hit) = self.evaluate_standing(arguments, slots) {
                return hit;
            }
            self.walk(arguments, slots, |failure, values| {
                if failure.is_none() && !self.careful && values.len() >= WORTH_IT {
                    let mut remembered = self.remembered.take().unwrap_or_default();
                    remembered.remember(self, values);
                    self.remembered.set(Some(remembered));
                }
                failure.is_none()
            })
        }
    }

    /// [`Self::evaluate`] by the standing facts; None where there are none, or where they don't stand any more.
    ///
    /// # Safety
    /// As for [`Self::evaluate`].
    #[inline]
    unsafe fn evaluate_standing(&self, arguments: *const Object, slots: &mut [Object]) -> Option<bool> {
        // Taken, so that nobody else uses it should something run after all.
        let mut remembered = self.remembered.take()?;
        let state_holds = self.state.as_ref().is_none_or(|state| state.get().holds());
        let mut owned = Released::new();
        let answer = if self.cleared.get() || !state_holds {
            Answer::Miss
        } else {
            // SAFETY: the caller's promise.
            let found = unsafe { remembered.find(arguments) };
            found.map_or(Answer::Unknown, |standing| {
                // SAFETY: as above.
                let call = Call {
                    tree: self,
                    arguments,
                    slots: &mut *slots,
                    owned: &mut owned,
                };
                // SAFETY: as above.
                unsafe { standing.check(call) }
            })
        };
        let hit = match answer {
            Answer::Hit => Some(true),
            Answer::Miss => {
                slots.fill(null_mut());
                Some(false)
            }
            Answer::Unknown => None,
            Answer::Changed(node) => {
                remembered.forget_first(node);
                None
            }
            Answer::Stale => {
                remembered.drop_first();
                None
            }
        };
        self.remembered.set(Some(remembered));
        // SAFETY: attached; the slots have references of their own.
        unsafe { owned.release() };
        hit
    }

    /// Walks all nodes and gives `finish` the first failure and the objects fetched up to it.
    ///
    /// # Safety
    /// As for [`Self::evaluate`]; without a failure the slots have new references afterwards, with one
    /// they are null.
    #[inline]
    pub(super) unsafe fn walk<R>(
        &self,
        arguments: *const Object,
        slots: &mut [Object],
        finish: impl FnOnce(Option<Failure>, &[Object]) -> R,
    ) -> R {
        let count = self.nodes.len();
        if count <= NODES_ON_STACK {
            let mut values = [MaybeUninit::<Object>::uninit(); NODES_ON_STACK];
            // SAFETY: the caller's promise.
            return unsafe { self.walk_in(arguments, slots, values.as_mut_ptr().cast(), finish) };
        }
        let mut values = self.scratch.take();
        values.reserve(count);
        // SAFETY: the caller's promise; the vector has room for all nodes.
        let result = unsafe { self.walk_in(arguments, slots, values.as_mut_ptr(), finish) };
        self.scratch.set(values);
        result
    }

    /// [`Self::walk`] with room for the objects of all nodes at `values`.
    ///
    /// # Safety
    /// As for [`Self::walk`].
    #[inline]
    unsafe fn walk_in<R>(
        &self,
        arguments: *const Object,
        slots: &mut [Object],
        values: *mut Object,
        finish: impl FnOnce(Option<Failure>, &[Object]) -> R,
    ) -> R {
        let mut owned = Released::new();
        let mut fetched = 0;
        // SAFETY: the caller's promise. Objects are borrowed while nothing can run user code; references
        // made on the way are released last, when the slots own theirs.
        unsafe {
            let failure = self.first_failure(arguments, slots, values, &mut fetched, &mut owned);
            match failure {
                None => slots.iter().for_each(|&object| ffi::Py_INCREF(object)),
                Some(_) => slots.fill(null_mut()),
            }
            let result = finish(failure, std::slice::from_raw_parts(values, fetched));
            owned.release();
            result
        }
    }

    /// # Safety
    /// As for [`Self::walk`]. Slots are filled with borrowed objects; `fetched` counts the values written.
    #[inline]
    unsafe fn first_failure(
        &self,
        arguments: *const Object,
        slots: &mut [Object],
        values: *mut Object,
        fetched: &mut usize,
        owned: &mut Released,
    ) -> Option<Failure> {
        if self.cleared.get() {
            return Some(Failure::Cleared);
        }
        if let Some(state) = &self.state
            && !state.get().holds()
        {
            return Some(Failure::State);
        }
        let mut first_guard = 0;
        for (index, node) in self.nodes.iter().enumerate() {
            // SAFETY: a parent comes before its children, so its value is written and live; `values` has
            // room for all nodes; a node's guards end within the list of all.
            unsafe {
                let parent = if node.access.is_root() {
                    null_mut()
                } else {
                    *values.add(node.parent)
                };
                let value = node.access.fetch(parent, arguments, values, owned);
                if value.is_null() {
                    return Some(Failure::Fetch(index));
                }
                if self.careful {
                    ffi::Py_INCREF(value);
                    owned.push(value);
                }
                values.add(index).write(value);
                *fetched = index + 1;
                let so_far = std::slice::from_raw_parts(values, index + 1);
                for number in first_guard..node.guards_end {
                    if !self.guards.get_unchecked(number).holds(value, so_far) {
                        return Some(Failure::Guard(index, number - first_guard));
                    }
                }
                first_guard = node.guards_end;
                if node.slot != NO_SLOT {
                    slots[node.slot] = value;
                }
            }
        }
        // SAFETY: all nodes are fetched, and their guards hold.
        let all = unsafe { std::slice::from_raw_parts(values, self.nodes.len()) };
        if let Some(index) = self.distinct.iter().position(|distinct| !distinct.holds(all)) {
            return Some(Failure::Distinct(index));
        }
        // SAFETY: as above.
        if let Some(index) = self.apart.iter().position(|apart| unsafe { !apart.holds(all) }) {
            return Some(Failure::Apart(index));
        }
        // SAFETY: as above.
        unsafe { self.conditions.failed(all) }.map(Failure::Condition)
    }

    /// The node at which a call misses; None where it hits, or where more than one object is concerned.
    ///
    /// # Safety
    /// As for [`Self::evaluate`].
    pub unsafe fn failing_node(&self, arguments: *const Object) -> Option<usize> {
        let mut slots = vec![null_mut(); self.slot_count];
        // SAFETY: the caller's promise; what a hit has put into the slots is released.
        unsafe {
            let node = self.walk(arguments, &mut slots, |failure, _| match failure {
                Some(Failure::Fetch(node) | Failure::Guard(node, _)) => Some(node),
                _ => None,
            });
            release_all(&slots);
            node
        }
    }

    /// The object at a node for a call that this tree need not hold for: null where there is none, or where another
    /// node would have to be asked. Borrowed, or held by `owned`.
    ///
    /// # Safety
    /// As for [`Self::evaluate`]; there is such a node.
    pub unsafe fn object_at(&self, node: usize, arguments: *const Object, owned: &mut Released) -> Object {
        let Node { parent, access, .. } = &self.nodes[node];
        // SAFETY: the caller's promise. A fetch looks at the type of its parent before it reads it.
        unsafe {
            if self.cleared.get() || matches!(access, Access::NamedItem(_)) {
                return null_mut();
            }
            if access.is_root() {
                return access.fetch(null_mut(), arguments, null(), owned);
            }
            let parent = self.object_at(*parent, arguments, owned);
            if parent.is_null() {
                return null_mut();
            }
            access.fetch(parent, arguments, null(), owned)
        }
    }
}
