//! A map from objects to values by identity that can't give a dead object's value to a new one.
//!
//! An address is only a name while its object lives. So each entry holds its object: weakly where the
//! type allows it (an entry whose object died is skipped and dropped when met, and swept as the map
//! grows), strongly where it does not (method descriptors, slot wrappers, small C objects).
//!
//! Nothing here runs user code while the map is borrowed: weak references have no callback, and what
//! is taken out of the map is handed to the caller, who drops it after the borrow has ended.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::PyTraverseError;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

/// The least number of entries at which dead ones are looked for.
const FIRST_SWEEP: usize = 1024;

/// Who put an entry into the map, in the order of precedence: what stands first is never replaced by
/// what stands later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// Said by the user for this very object.
    User,
    /// A row of a table.
    Row,
    /// Answered by a predicate before.
    Predicate,
}

/// What keeps an address from being reused unnoticed.
enum Holder {
    Weak(Py<PyWeakrefReference>),
    Strong(Py<PyAny>),
}

impl Holder {
    /// Holds `object` weakly if its type allows it, else strongly.
    fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match PyWeakrefReference::new(object) {
            Ok(reference) => Ok(Self::Weak(reference.unbind())),
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                Ok(Self::Strong(object.clone().unbind()))
            }
            Err(error) => Err(error),
        }
    }

    fn is_alive(&self, py: Python<'_>) -> bool {
        match self {
            Self::Weak(reference) => reference.bind(py).upgrade().is_some(),
            Self::Strong(_) => true,
        }
    }
}

/// One entry: the object's holder, who said it, and what.
pub struct Held {
    holder: Holder,
    layer: Layer,
    value: Py<PyAny>,
}

/// Mixes the bits of an address: objects are aligned, so its low bits say nothing.
#[derive(Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(*byte as usize);
        }
    }

    fn write_usize(&mut self, value: usize) {
        self.0 = (self.0 ^ value as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(26);
    }
}

type Addresses = HashMap<usize, Held, BuildHasherDefault<AddressHasher>>;

/// Objects and what is known of them, by identity.
#[derive(Default)]
pub struct IdentityMap {
    entries: Addresses,
    sweep_at: usize,
}

/// Entries taken out of a map, to be dropped when it is no longer borrowed.
pub type Released = Vec<Held>;

/// The answer for an address.
pub enum Found {
    Nothing,
    /// An object that died was at this address; [`IdentityMap::forget`] takes its entry out.
    Dead,
    Here(Layer, Py<PyAny>),
}

impl IdentityMap {
    /// What is known of the object at this address.
    pub fn get(&self, object: &Bound<'_, PyAny>) -> Found {
        let py = object.py();
        match self.entries.get(&(object.as_ptr() as usize)) {
            None => Found::Nothing,
            Some(held) if held.holder.is_alive(py) => Found::Here(held.layer, held.value.clone_ref(py)),
            Some(_) => Found::Dead,
        }
    }

    /// The number of entries, dead ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes out the entry at this object's address.
    pub fn forget(&mut self, object: &Bound<'_, PyAny>) -> Option<Held> {
        self.entries.remove(&(object.as_ptr() as usize))
    }

    /// Takes out every entry of a layer, or all.
    pub fn clear(&mut self, layer: Option<Layer>) -> Released {
        self.entries
            .extract_if(|_, held| layer.is_none_or(|layer| held.layer == layer))
            .map(|(_, held)| held)
            .collect()
    }

    /// Takes out what is dead, if the map has doubled since this was done last.
    fn sweep(&mut self, py: Python<'_>, released: &mut Released) {
        if self.entries.len() < self.sweep_at.max(FIRST_SWEEP) {
            return;
        }
        released.extend(
            self.entries
                .extract_if(|_, held| !held.holder.is_alive(py))
                .map(|(_, held)| held),
        );
        self.sweep_at = self.entries.len() * 2;
    }

    /// Tells the garbage collector what is held.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for held in self.entries.values() {
            visit.call(&held.value)?;
            match &held.holder {
                Holder::Weak(reference) => visit.call(reference)?,
                Holder::Strong(object) => visit.call(object)?,
            }
        }
        Ok(())
    }
}

/// A new entry, made before the map is borrowed: making a weak reference may collect garbage, and
/// that runs finalisers.
pub fn hold(object: &Bound<'_, PyAny>, layer: Layer, value: Py<PyAny>) -> PyResult<Held> {
    Ok(Held {
        holder: Holder::new(object)?,
        layer,
        value,
    })
}

impl IdentityMap {
    /// Stores an entry for `object`, unless one that takes precedence over it is alive. The last word of the same layer
    /// counts.
    pub fn insert(&mut self, object: &Bound<'_, PyAny>, held: Held) -> Released {
        let py = object.py();
        let mut released = Released::new();
        self.sweep(py, &mut released);
        match self.entries.entry(object.as_ptr() as usize) {
            Entry::Occupied(mut occupied) => {
                let known = occupied.get();
                if known.layer < held.layer && known.holder.is_alive(py) {
                    released.push(held);
                } else {
                    released.push(occupied.insert(held));
                }
            }
            Entry::Vacant(vacant) => {
                vacant.insert(held);
            }
        }
        released
    }
}
