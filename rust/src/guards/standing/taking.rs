//! How standing facts are taken from a walk that has just hit, node by node.

use super::remembered::TOO_MANY;
use super::words::{Stands, Words};
use super::{Standing, Step, Task};
use crate::guards::access::{Access, Parent};
use crate::guards::kinds::Guard;
use crate::guards::tree::{GuardTree, NO_SLOT, Node};
use crate::guards::watchers;
use crate::objects::Object;
use crate::torch_abi;
use std::ops::Range;
use std::ptr::null;

/// So many steps ahead memory is asked for: as many as fit into the time that it takes to come.
const AHEAD: usize = 6;

impl Standing {
    /// The standing facts of a walk that has just hit with `values`.
    ///
    /// # Safety
    /// `values` are the live objects of all nodes, for which everything holds; nothing has run since.
    pub(super) unsafe fn take(tree: &GuardTree, values: &[Object], changes: &[u8]) -> Self {
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
                let parent = Parent {
                    object: self.values[node.parent],
                    firm: self.known[node.parent].firm,
                    is_namespace: self.tree.nodes()[node.parent].access.gives_namespace(),
                };
                // SAFETY: the parent is readable: firm, or of a type that is checked before.
                unsafe { node.access.standing(&parent, self.values[index], &mut self.words) }
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
