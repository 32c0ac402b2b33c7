//! Objects that must be pairwise different, such as tensors that a graph takes as separate inputs.

use crate::objects::Object;
use std::cell::Cell;

/// Up to this many objects, comparing all pairs is faster than a table.
const FEW: usize = 16;

/// The nodes whose objects are pairwise different.
pub struct Distinct {
    nodes: Box<[u32]>,
    /// A hash table of pointers with the number of the check that put them there; empty for few nodes.
    seen: Box<[Cell<(Object, u32)>]>,
    check: Cell<u32>,
}

impl Distinct {
    /// A check over these nodes.
    pub fn new(nodes: Vec<u32>) -> Self {
        let room = if nodes.len() <= FEW {
            0
        } else {
            (nodes.len() * 4).next_power_of_two()
        };
        Self {
            nodes: nodes.into(),
            seen: (0..room).map(|_| Cell::new((std::ptr::null_mut(), 0))).collect(),
            check: Cell::new(0),
        }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[u32] {
        &self.nodes
    }

    /// Two of the nodes that hold the same object.
    pub fn same(&self, values: &[Object]) -> Option<(u32, u32)> {
        self.nodes.iter().enumerate().find_map(|(index, &node)| {
            let other = self.nodes[..index]
                .iter()
                .find(|&&other| values[other as usize] == values[node as usize]);
            other.map(|&other| (other, node))
        })
    }

    /// Whether all are different.
    #[inline]
    pub fn holds(&self, values: &[Object]) -> bool {
        if self.seen.is_empty() {
            return self.same(values).is_none();
        }
        let check = self.check.get().wrapping_add(1);
        self.check.set(check);
        if check == 0 {
            // The numbers start over: forget every earlier check.
            self.seen
                .iter()
                .for_each(|place| place.set((std::ptr::null_mut(), 0)));
            return self.same(values).is_none();
        }
        let mask = self.seen.len() - 1;
        self.nodes.iter().all(|&node| {
            let value = values[node as usize];
            let mut position = (value as usize >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & mask;
            loop {
                let (pointer, of) = self.seen[position].get();
                if of != check {
                    self.seen[position].set((value, check));
                    return true;
                }
                if pointer == value {
                    return false;
                }
                position = (position + 1) & mask;
            }
        })
    }
}
