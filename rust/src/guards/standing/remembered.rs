//! What the walks of one tree left behind, for each of the objects that calls bring in turn.

use super::Standing;
use crate::guards::tree::GuardTree;
use crate::objects::Object;

/// So many changes of one object, with few hits between them, and it is walked instead.
pub const TOO_MANY: u8 = 3;
/// A change after so many hits is a rare one.
const RARE: u32 = 64;
/// For so many objects in an argument's place words are kept. When as many came one after another and none came
/// twice, that argument is walked instead.
const MOST_PINNED: usize = 200;

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
