//! The guard tree: one walk that decides whether an entry may be used and collects what its plan needs.

use super::access::Access;
use super::apart::{Apart, ApartDescription};
use super::build::Builder;
use super::conditions::{Condition, Conditions, Symbol};
use super::distinct::Distinct;
use super::explain;
use super::kinds::Guard;
use super::standing::{Answer, Remembered};
use crate::objects::{Object, Released, release_all};
use crate::torch_abi::{self, TorchState};
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::cell::{Cell, UnsafeCell};
use std::collections::HashSet;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

/// How a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Everything holds; the slots have new references.
    Hit,
    /// Something does not hold; the slots are null.
    Miss,
    /// An exception is set that has nothing to do with guards, such as `MemoryError`.
    #[allow(dead_code)] // No walk can fail in this way today; callers are ready for one that can.
    Error,
}

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

pub struct Node {
    pub parent: usize,
    pub access: Access,
    /// Where this node's guards end in the list of all guards; they begin where the last node's end.
    pub guards_end: usize,
    /// The slot that receives the object, or `NO_SLOT`.
    pub slot: usize,
}

/// No slot.
pub const NO_SLOT: usize = usize::MAX;
/// Trees of up to this many nodes are walked on the stack alone.
const NODES_ON_STACK: usize = 96;
/// Trees with fewer nodes are walked faster than remembered.
const WORTH_IT: usize = 16;

/// Facts that must hold for an entry, and the objects its plan is given.
#[pyclass(frozen, module = "framelift._native")]
pub struct GuardTree {
    nodes: Box<[Node]>,
    guards: Box<[Guard]>,
    distinct: Box<[Distinct]>,
    apart: Box<[Apart]>,
    conditions: Conditions,
    state: Option<Py<TorchState>>,
    argument_count: usize,
    slot_count: usize,
    /// Some guard calls Python: fetched objects are owned for the time of a walk.
    careful: bool,
    /// The values of a large tree, taken by a walk and put back.
    scratch: Cell<Vec<Object>>,
    /// What walks that hit left behind.
    remembered: Cell<Option<Box<Remembered>>>,
    /// Everything the parts above point to.
    held: UnsafeCell<Vec<Py<PyAny>>>,
    cleared: Cell<bool>,
}

// SAFETY: every use is by a thread that holds the GIL, which is what makes the cells and pointers safe to
// share; free-threaded builds are refused at import.
unsafe impl Send for GuardTree {}
// SAFETY: as above.
unsafe impl Sync for GuardTree {}

#[pymethods]
impl GuardTree {
    /// Reads the description that `guards/build.py` writes.
    #[new]
    #[pyo3(signature = (nodes, conditions, symbols, distinct, state, argument_count, apart = Vec::new()))]
    fn new(
        nodes: &Bound<'_, PyList>,
        conditions: &Bound<'_, PyList>,
        symbols: &Bound<'_, PyList>,
        distinct: Vec<Vec<u32>>,
        state: Option<Py<TorchState>>,
        argument_count: usize,
        apart: Vec<ApartDescription>,
    ) -> PyResult<Self> {
        let mut builder = Builder::new();
        let mut tree = Vec::with_capacity(nodes.len());
        let mut all_guards = Vec::new();
        let mut slot_count = 0;
        for description in nodes {
            builder.node = tree.len();
            let (parent, access, guards, slot): (isize, Bound<'_, PyAny>, Bound<'_, PyList>, isize) =
                description.extract()?;
            let access = Access::parse(&access, &mut builder)?;
            if let Access::Argument(index) = access
                && index >= argument_count
            {
                return Err(PyIndexError::new_err(format!("there is no argument {index}")));
            }
            if access.is_root() != (parent < 0) || parent >= tree.len() as isize {
                return Err(PyValueError::new_err(format!(
                    "node {} has no parent {parent}",
                    tree.len()
                )));
            }
            for guard in guards {
                all_guards.push(Guard::parse(&guard, &mut builder)?);
            }
            let slot = usize::try_from(slot).unwrap_or(NO_SLOT);
            if slot != NO_SLOT {
                slot_count = slot_count.max(slot + 1);
            }
            let parent = usize::try_from(parent).unwrap_or(0);
            tree.push(Node {
                parent,
                access,
                guards_end: all_guards.len(),
                slot,
            });
        }
        check_slots(&tree, slot_count)?;
        let direct = |node: usize| {
            let begin = if node == 0 { 0 } else { tree[node - 1].guards_end };
            let readable = all_guards[begin..tree[node].guards_end]
                .iter()
                .any(Guard::reads_tensor_directly);
            if readable { torch_abi::layout() } else { None }
        };
        let symbols = symbols
            .iter()
            .map(|symbol| Symbol::parse(&symbol, tree.len(), direct, &mut builder))
            .collect::<PyResult<Vec<_>>>()?;
        let conditions = conditions
            .iter()
            .map(|condition| Condition::parse(&condition, symbols.len()))
            .collect::<PyResult<Vec<_>>>()?;
        if distinct.iter().flatten().any(|&node| node as usize >= tree.len()) {
            return Err(PyIndexError::new_err("distinct objects are at nodes"));
        }
        let apart = apart
            .into_iter()
            .map(|group| Apart::parse(group, tree.len(), direct, &mut builder))
            .collect::<PyResult<_>>()?;
        Ok(Self {
            nodes: tree.into(),
            guards: all_guards.into(),
            distinct: distinct.into_iter().map(Distinct::new).collect(),
            apart,
            conditions: Conditions::new(symbols, conditions),
            state,
            argument_count,
            slot_count,
            careful: builder.careful,
            scratch: Cell::new(Vec::new()),
            remembered: Cell::default(),
            held: UnsafeCell::new(builder.held),
            cleared: Cell::new(false),
        })
    }

    /// The slots' objects when everything holds for these arguments, else None.
    fn check<'py>(&self, arguments: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = arguments.py();
        let arguments = self.argument_array(arguments)?;
        // SAFETY: attached. A tuple may be filled while only this function knows it; after a miss it is
        // dropped with nulls in it, which its destructor takes.
        unsafe {
            let slots =
                Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(self.slot_count as ffi::Py_ssize_t))?
                    .cast_into_unchecked::<PyTuple>();
            let items = &raw mut (*slots.as_ptr().cast::<ffi::PyTupleObject>()).ob_item;
            let items = std::slice::from_raw_parts_mut(items.cast::<Object>(), self.slot_count);
            match self.evaluate(arguments, items) {
                Outcome::Hit => Ok(Some(slots)),
                Outcome::Miss => Ok(None),
                Outcome::Error => Err(PyErr::fetch(py)),
            }
        }
    }

    /// What does not hold: None, or `(node, guard, found)`; see `explain.rs`.
    fn explain<'py>(&self, arguments: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let py = arguments.py();
        let arguments = self.argument_array(arguments)?;
        let mut slots = vec![null_mut(); self.slot_count];
        // SAFETY: attached; the caller's tuple holds the arguments.
        unsafe {
            let report = self.walk(arguments, &mut slots, |failure, values| match failure {
                None => Ok(None),
                Some(failure) => explain::report(py, failure, values, self).map(Some),
            });
            release_all(&slots);
            report
        }
    }

    /// How many slots a hit fills.
    #[getter(slot_count)]
    fn slot_count_for_python(&self) -> usize {
        self.slot_count
    }

    /// How many words stand for the facts of the last hit, how many of them no watcher speaks for, and how many steps
    /// are walked besides; None where every node is walked.
    #[getter]
    fn standing(&self) -> Option<(usize, usize, usize)> {
        let remembered = self.remembered.take();
        let sizes = remembered.as_ref().and_then(|remembered| remembered.sizes());
        self.remembered.set(remembered);
        sizes
    }

    /// How many nodes a walk visits.
    #[getter]
    fn node_count(&self) -> usize {
        self.nodes.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // SAFETY: the list changes only in `__clear__` and in no call out; the GIL is held.
        for object in unsafe { &*self.held.get() } {
            visit.call(object)?;
        }
        if let Some(state) = &self.state {
            visit.call(state)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.cleared.set(true);
        // SAFETY: nobody looks at the list: it is taken out first and released when it is no longer here.
        let held = std::mem::take(unsafe { &mut *self.held.get() });
        drop(held);
    }
}

/// Every slot is filled by exactly one node.
fn check_slots(nodes: &[Node], slot_count: usize) -> PyResult<()> {
    let mut filled = vec![false; slot_count];
    for node in nodes.iter().filter(|node| node.slot != NO_SLOT) {
        if std::mem::replace(&mut filled[node.slot], true) {
            return Err(PyValueError::new_err(format!(
                "two nodes fill slot {}",
                node.slot
            )));
        }
    }
    match filled.iter().position(|&filled| !filled) {
        Some(slot) => Err(PyValueError::new_err(format!("no node fills slot {slot}"))),
        None => Ok(()),
    }
}

impl GuardTree {
    /// How many slots a hit fills.
    pub fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// How many arguments a call brings.
    pub fn argument_count(&self) -> usize {
        self.argument_count
    }

    /// The snapshot that must hold, if there is one.
    pub fn state(&self) -> Option<&Py<TorchState>> {
        self.state.as_ref()
    }

    /// The node that a node is fetched from.
    pub fn parent(&self, node: usize) -> Option<usize> {
        let node = &self.nodes[node];
        (!node.access.is_root()).then_some(node.parent)
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

    /// The addresses of all that the tree keeps alive.
    pub fn held(&self) -> HashSet<usize> {
        // SAFETY: the list changes only in `__clear__`; the GIL is held.
        unsafe { &*self.held.get() }
            .iter()
            .map(|object| object.as_ptr() as usize)
            .collect()
    }

    /// All conditions.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// All nodes, in evaluation order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All guards, in the order of their nodes.
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// Objects that must be different.
    pub fn distinct(&self) -> &[Distinct] {
        &self.distinct
    }

    /// Tensors whose memory must be apart, or overlap.
    pub fn apart(&self) -> &[Apart] {
        &self.apart
    }

    /// Checks everything for a call with these arguments, and fills `slots` with new references on a hit.
    ///
    /// # Safety
    /// `arguments` points to `argument_count` live objects; the thread is attached, with no exception set;
    /// the caller holds a reference to this tree. `slots` has `slot_count` places.
    #[inline]
    pub unsafe fn evaluate(&self, arguments: *const Object, slots: &mut [Object]) -> Outcome {
        debug_assert_eq!(slots.len(), self.slot_count);
        // SAFETY: the caller's promise; what the slots borrow is alive until the walk ends.
        unsafe {
            if let Some(outcome) = self.evaluate_standing(arguments, slots) {
                return outcome;
            }
            let hit = self.walk(arguments, slots, |failure, values| {
                if failure.is_none() && !self.careful && values.len() >= WORTH_IT {
                    let mut remembered = self.remembered.take().unwrap_or_default();
                    remembered.remember(self, values);
                    self.remembered.set(Some(remembered));
                }
                failure.is_none()
            });
            if hit { Outcome::Hit } else { Outcome::Miss }
        }
    }

    /// [`Self::evaluate`] by the standing facts; None where there are none, or where they don't stand any more.
    ///
    /// # Safety
    /// As for [`Self::evaluate`].
    #[inline]
    unsafe fn evaluate_standing(&self, arguments: *const Object, slots: &mut [Object]) -> Option<Outcome> {
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
                unsafe { standing.check(self, arguments, slots, &mut owned) }
            })
        };
        let outcome = match answer {
            Answer::Hit => Some(Outcome::Hit),
            Answer::Miss => {
                slots.fill(null_mut());
                Some(Outcome::Miss)
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
        outcome
    }

    /// Walks all nodes and gives `finish` the first failure and the objects fetched up to it.
    ///
    /// # Safety
    /// As for [`Self::evaluate`]; without a failure the slots have new references afterwards, with one
    /// they are null.
    #[inline]
    unsafe fn walk<R>(
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

    /// The items of an argument tuple of the right length.
    fn argument_array(&self, arguments: &Bound<'_, PyTuple>) -> PyResult<*const Object> {
        if arguments.len() != self.argument_count {
            return Err(PyTypeError::new_err(format!(
                "{} arguments are bound, not {}",
                self.argument_count,
                arguments.len()
            )));
        }
        // SAFETY: a tuple's items are an array in its structure.
        Ok(unsafe { (&raw const (*arguments.as_ptr().cast::<ffi::PyTupleObject>()).ob_item).cast() })
    }
}
