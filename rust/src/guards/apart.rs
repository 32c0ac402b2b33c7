//! Tensors that a graph writes to, and whether their memory is also another tensor's.
//!
//! What is compared is where the elements lie: from the first to behind the last byte that sizes and strides
//! reach. Two tensors whose ranges meet without sharing an element (two columns of a matrix) count as
//! overlapping; that only leads to an entry of its own, for exactly these pairs of tensors. So do two
//! storages over one piece of memory (`torch.from_numpy` twice). The order by address is kept from check
//! to check: parameters do not move, so a large group is one pass over its tensors.

use super::build::Builder;
use crate::objects::Object;
use crate::torch_abi::{self, MemoryRange, TensorLayout};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use std::cell::Cell;

/// A tensor of the group.
struct Member {
    node: usize,
    written: bool,
    /// How its memory is read directly, with the size of an element.
    direct: Option<(&'static TensorLayout, usize)>,
}

/// Whether a tensor that is written to shares memory with another one of the group.
pub struct Apart {
    members: Box<[Member]>,
    /// The nodes of the pairs that overlap, in order; none where all must be apart.
    expected: Box<[(usize, usize)]>,
    /// The members with their memory, in the order of the last check.
    ranges: Cell<Vec<(MemoryRange, usize)>>,
}

/// What Python says of a group: `([(node, written, size of an element)], [places of two that overlap])`.
pub type ApartDescription = (Vec<(usize, bool, usize)>, Vec<(usize, usize)>);

impl Apart {
    /// Reads a description; `direct` tells how a node's tensor is read, None where Python is to be asked.
    pub fn parse(
        description: ApartDescription,
        node_count: usize,
        direct: impl Fn(usize) -> Option<&'static TensorLayout>,
        builder: &mut Builder,
    ) -> PyResult<Self> {
        let (members, pairs) = description;
        let count = members.len();
        if members.iter().any(|&(node, ..)| node >= node_count)
            || pairs.iter().any(|&(first, second)| first.max(second) >= count)
        {
            return Err(PyIndexError::new_err("tensors kept apart are at nodes"));
        }
        let members: Box<[Member]> = members
            .into_iter()
            .map(|(node, written, item_size)| Member {
                node,
                written,
                direct: direct(node)
                    .filter(|layout| layout.knows_memory())
                    .map(|layout| (layout, item_size)),
            })
            .collect();
        if members.iter().any(|member| member.direct.is_none()) {
            torch_abi::calibrated()?;
            builder.careful = true;
        }
        Ok(Self {
            members,
            expected: pairs.into(),
            ranges: Cell::new(Vec::new()),
        })
    }

    /// Whether apart is what the tensors must be.
    pub fn expects_apart(&self) -> bool {
        self.expected.is_empty()
    }

    /// # Safety
    /// As for [`Self::overlap`].
    #[inline]
    pub unsafe fn holds(&self, values: &[Object]) -> bool {
        // SAFETY: the caller's promise.
        let overlaps = unsafe { self.overlap(values) }.is_some();
        overlaps != self.expected.is_empty() && (!overlaps || self.same_pairs())
    }

    /// Whether the pairs that overlap, as the memory was found last, are the expected ones.
    fn same_pairs(&self) -> bool {
        let ranges = self.ranges.take();
        let mut pairs = Vec::new();
        for (place, &(range, index)) in ranges.iter().enumerate() {
            for &(other_range, other) in &ranges[..place] {
                let written = self.members[index].written || self.members[other].written;
                if written && range.begin.max(other_range.begin) < range.end.min(other_range.end) {
                    pairs.push((index.min(other), index.max(other)));
                }
            }
        }
        self.ranges.set(ranges);
        pairs.sort_unstable();
        *pairs == *self.expected
    }

    /// The nodes of two tensors that overlap, one of which is written to.
    ///
    /// # Safety
    /// `values` has the live objects of all nodes, and all guards on them hold.
    pub unsafe fn overlap(&self, values: &[Object]) -> Option<(usize, usize)> {
        let mut ranges = self.ranges.take();
        if ranges.len() != self.members.len() {
            ranges.clear();
            ranges.extend((0..self.members.len()).map(|index| (MemoryRange::default(), index)));
        }
        for (range, index) in &mut ranges {
            let member = &self.members[*index];
            let value = values[member.node];
            // SAFETY: the node's guards hold, so its tensor is read as its guard reads it.
            *range = unsafe {
                match member.direct {
                    Some((layout, item_size)) => layout.memory(value, item_size),
                    None => torch_abi::slow_memory(value),
                }
            };
        }
        let begin = |(range, _): &(MemoryRange, usize)| range.begin;
        if !ranges.is_sorted_by_key(begin) {
            ranges.sort_unstable_by_key(begin);
        }
        let found = self.first_overlap(&ranges);
        self.ranges.set(ranges);
        found
    }

    /// One pass over the members by address, with the one that reaches furthest and the written one that does.
    fn first_overlap(&self, ranges: &[(MemoryRange, usize)]) -> Option<(usize, usize)> {
        let mut furthest: Option<(usize, usize)> = None;
        let mut furthest_written: Option<(usize, usize)> = None;
        for &(range, index) in ranges {
            if range.begin == range.end {
                continue;
            }
            let member = &self.members[index];
            let before = if member.written {
                furthest
            } else {
                furthest_written
            };
            if let Some((end, other)) = before
                && range.begin < end
            {
                return Some((self.members[other].node, member.node));
            }
            let reaches = |known: Option<(usize, usize)>| match known {
                Some((end, _)) if end >= range.end => known,
                _ => Some((range.end, index)),
            };
            furthest = reaches(furthest);
            if member.written {
                furthest_written = reaches(furthest_written);
            }
        }
        None
    }
}
