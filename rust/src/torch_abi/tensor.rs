//! Where a tensor keeps its metadata.
//!
//! A Python tensor points to a C++ `TensorImpl`. Its fields are found by looking, in probe tensors of odd
//! sizes, strides, offsets, dtypes and devices, for the one place that has the right value in all of them.
//! Anything not found, or found twice, turns direct reading off.

use super::symbols::Libraries;
use crate::objects::Object;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::ffi::c_void;
use std::fmt;

unsafe extern "C" {
    fn malloc_usable_size(memory: *mut c_void) -> usize;
}

/// A pointer to a `TensorImpl`.
pub type Implementation = *const u8;

/// Up to this many dimensions are stored in the `TensorImpl` itself.
const INLINE_DIMENSIONS: usize = 5;
const WORD: usize = 8;

/// Offsets in a tensor's Python object and in its `TensorImpl`.
pub struct TensorLayout {
    implementation: usize,
    /// The number of dimensions; sizes and strides, or a pointer to them, follow.
    dimension: usize,
    storage_offset: usize,
    /// Dtype (16 bits), device type and device index (8 bits each).
    dtype_device: usize,
    key_set: usize,
    /// A pointer, null where autograd knows nothing of the tensor.
    autograd: usize,
    requires_grad: unsafe extern "C" fn(Implementation) -> bool,
    /// In what autograd knows, the byte that is 1 for a leaf that requires a gradient.
    leaf_flag: Option<usize>,
    memory: Option<MemoryPlaces>,
}

/// Where the memory of a tensor is found: the storage in its `TensorImpl`, the address in the storage.
#[derive(Clone, Copy, Debug)]
struct MemoryPlaces {
    storage: usize,
    data: usize,
}

/// The addresses from a tensor's first element to behind its last; empty where there are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryRange {
    pub begin: usize,
    pub end: usize,
}

/// What tensors that are read alike have in common, in three words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TensorWords {
    key_set: u64,
    dtype_device: u32,
    dimension: usize,
}

impl TensorWords {
    /// The number of dimensions.
    pub fn dimension(&self) -> usize {
        self.dimension
    }
}

impl fmt::Display for TensorLayout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "implementation {}, autograd {}, leaf {:?}, sizes {}, storage offset {}, dtype {}, keys {}, memory {:?}",
            self.implementation,
            self.autograd,
            self.leaf_flag,
            self.dimension,
            self.storage_offset,
            self.dtype_device,
            self.key_set,
            self.memory
        )
    }
}

/// Reads a value at an offset.
///
/// # Safety
/// The memory there is readable and holds a `T`; `T` is an integer or a pointer.
#[inline]
unsafe fn at<T: Copy>(memory: Implementation, offset: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { memory.add(offset).cast::<T>().read_unaligned() }
}

/// The words from an offset on, which is a multiple of their size.
///
/// # Safety
/// The offset is inside the memory.
#[inline]
#[allow(clippy::cast_ptr_alignment)] // implementations are aligned to words, as their offsets are
unsafe fn word_pointer(memory: Implementation, offset: usize) -> *const i64 {
    // SAFETY: the caller's promise.
    unsafe { memory.add(offset).cast::<i64>() }
}

impl TensorLayout {
    /// The `TensorImpl` of a tensor.
    ///
    /// # Safety
    /// `tensor` is a live object of a tensor class.
    #[inline]
    pub unsafe fn implementation(&self, tensor: Object) -> Implementation {
        // SAFETY: calibrated: the object has a pointer there.
        unsafe { at(tensor.cast(), self.implementation) }
    }

    /// # Safety
    /// `tensor` is the implementation of a live tensor.
    #[inline]
    pub unsafe fn words(&self, tensor: Implementation) -> TensorWords {
        // SAFETY: calibrated.
        unsafe {
            TensorWords {
                key_set: at(tensor, self.key_set),
                dtype_device: at(tensor, self.dtype_device),
                dimension: at(tensor, self.dimension),
            }
        }
    }

    /// The places, far enough apart to come from memory one by one, at which a tensor is read.
    ///
    /// # Safety
    /// `tensor` is a live object of a tensor class.
    pub unsafe fn places(&self, tensor: Object) -> [*const u8; 3] {
        // SAFETY: calibrated; nothing is read beyond the first pointer.
        unsafe {
            let implementation = self.implementation(tensor);
            [self.autograd, self.dimension + WORD, self.key_set].map(|offset| implementation.add(offset))
        }
    }

    /// The words that are there in every tensor: what it is, its number of dimensions, and the first sizes and
    /// strides (or where they are).
    ///
    /// # Safety
    /// `tensor` is a live object of a tensor class, and outlives the iterator.
    pub unsafe fn metadata(&self, tensor: Object) -> impl Iterator<Item = u64> {
        // SAFETY: calibrated; what is stored inline is part of every `TensorImpl`.
        unsafe {
            let tensor = self.implementation(tensor);
            let words = self.words(tensor);
            let inline = word_pointer(tensor, self.dimension + WORD);
            let stored = words.dimension.min(INLINE_DIMENSIONS);
            let what = [
                words.key_set,
                u64::from(words.dtype_device),
                words.dimension as u64,
            ];
            what.into_iter().chain((0..stored).flat_map(move |index| {
                [
                    *inline.add(index) as u64,
                    *inline.add(INLINE_DIMENSIONS + index) as u64,
                ]
            }))
        }
    }

    /// Sizes and strides of a tensor with `dimensions` dimensions.
    ///
    /// # Safety
    /// `tensor` is the implementation of a live ordinary tensor with that many dimensions.
    #[inline]
    pub unsafe fn sizes_and_strides(
        &self,
        tensor: Implementation,
        dimensions: usize,
    ) -> (*const i64, *const i64) {
        // SAFETY: calibrated for both ways of storing them.
        unsafe {
            let inline = word_pointer(tensor, self.dimension + WORD);
            if dimensions <= INLINE_DIMENSIONS {
                (inline, inline.add(INLINE_DIMENSIONS))
            } else {
                let sizes = *inline.cast::<*const i64>();
                (sizes, sizes.add(dimensions))
            }
        }
    }

    /// # Safety
    /// `tensor` is the implementation of a live tensor.
    #[inline]
    pub unsafe fn requires_grad(&self, tensor: Implementation) -> bool {
        // SAFETY: calibrated; the function is torch's own and does not throw.
        unsafe {
            let known: Implementation = at(tensor, self.autograd);
            let is_leaf = |flag: usize| at::<u8>(known, flag) == 1;
            !known.is_null() && (self.leaf_flag.is_some_and(is_leaf) || (self.requires_grad)(tensor))
        }
    }

    /// # Safety
    /// `tensor` is a live ordinary tensor.
    pub unsafe fn storage_offset(&self, tensor: Object) -> i64 {
        // SAFETY: calibrated.
        unsafe { at(self.implementation(tensor), self.storage_offset) }
    }

    /// Whether it was found where tensors keep their memory.
    pub fn knows_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Where the elements of a tensor lie, each of which has `item_size` bytes.
    ///
    /// # Safety
    /// As for [`Self::storage_offset`]; [`Self::knows_memory`].
    #[inline]
    pub unsafe fn memory(&self, tensor: Object, item_size: usize) -> MemoryRange {
        let Some(places) = self.memory else {
            return MemoryRange::default();
        };
        // SAFETY: calibrated; an ordinary tensor has a storage.
        unsafe {
            let implementation = self.implementation(tensor);
            let storage: Implementation = at(implementation, places.storage);
            let data: usize = at(storage, places.data);
            if data == 0 {
                return MemoryRange::default();
            }
            let dimensions = at::<usize>(implementation, self.dimension);
            let (sizes, strides) = self.sizes_and_strides(implementation, dimensions);
            let mut last = 0;
            for dimension in 0..dimensions {
                let size = *sizes.add(dimension);
                if size == 0 {
                    return MemoryRange::default();
                }
                last += (size - 1) * *strides.add(dimension);
            }
            let begin = data + at::<i64>(implementation, self.storage_offset) as usize * item_size;
            let end = begin + (last as usize + 1) * item_size;
            MemoryRange { begin, end }
        }
    }

    /// # Safety
    /// As for [`Self::storage_offset`].
    pub unsafe fn size(&self, tensor: Object, dimension: usize) -> Option<i64> {
        // SAFETY: the dimension is checked against the tensor's own number of them.
        unsafe {
            let tensor = self.implementation(tensor);
            let dimensions = at::<usize>(tensor, self.dimension);
            (dimension < dimensions).then(|| *self.sizes_and_strides(tensor, dimensions).0.add(dimension))
        }
    }

    /// # Safety
    /// As for [`Self::storage_offset`].
    pub unsafe fn stride(&self, tensor: Object, dimension: usize) -> Option<i64> {
        // SAFETY: as above.
        unsafe {
            let tensor = self.implementation(tensor);
            let dimensions = at::<usize>(tensor, self.dimension);
            (dimension < dimensions).then(|| *self.sizes_and_strides(tensor, dimensions).1.add(dimension))
        }
    }

    /// The words of a tensor when direct reading gives what `facts` says.
    ///
    /// # Safety
    /// `tensor` is a tensor.
    pub unsafe fn agrees(
        &self,
        tensor: &Bound<'_, PyAny>,
        facts: &Bound<'_, PyDict>,
    ) -> PyResult<Option<TensorWords>> {
        let facts = Facts::read(facts)?;
        // SAFETY: the key set, which says whether the rest is in place, is compared first.
        unsafe {
            let implementation = self.implementation(tensor.as_ptr());
            let words = self.words(implementation);
            if words.key_set != facts.key_set || words.dimension != facts.sizes.len() {
                return Ok(None);
            }
            let (sizes, strides) = self.sizes_and_strides(implementation, words.dimension);
            let sizes = std::slice::from_raw_parts(sizes, words.dimension);
            let strides = std::slice::from_raw_parts(strides, words.dimension);
            let same = sizes == facts.sizes
                && facts.strides.as_deref() == Some(strides)
                && self.storage_offset(tensor.as_ptr()) == facts.storage_offset
                && self.requires_grad(implementation) == facts.requires_grad;
            Ok(same.then_some(words))
        }
    }
}

/// What torch's own accessors say of a tensor.
struct Facts {
    sizes: Vec<i64>,
    strides: Option<Vec<i64>>,
    storage_offset: i64,
    key_set: u64,
    requires_grad: bool,
    /// Same text, same dtype and device.
    kind: String,
    is_on_cpu: bool,
}

impl Facts {
    fn read(facts: &Bound<'_, PyDict>) -> PyResult<Self> {
        let facts = facts.as_any();
        let device = facts.get_item("device")?.str()?.to_string();
        Ok(Self {
            sizes: facts.get_item("sizes")?.extract()?,
            strides: facts.get_item("strides")?.extract()?,
            storage_offset: facts.get_item("storage_offset")?.extract()?,
            key_set: facts.get_item("key_set")?.extract()?,
            requires_grad: facts.get_item("requires_grad")?.extract()?,
            kind: format!("{} {device}", facts.get_item("dtype")?),
            is_on_cpu: device == "cpu",
        })
    }
}

/// A probe tensor: its object, its implementation, what is true of it.
struct Probe {
    object: Object,
    memory: Implementation,
    facts: Facts,
    storage: Implementation,
    data: u64,
}

impl Probe {
    /// # Safety
    /// The offset is inside the memory of the implementation.
    unsafe fn word(&self, offset: usize) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { at(self.memory, offset) }
    }

    /// # Safety
    /// There is room for the inline sizes and strides behind `offset`.
    unsafe fn has_dimensions_at(&self, offset: usize) -> bool {
        let Some(strides) = &self.facts.strides else {
            return false;
        };
        let count = self.facts.sizes.len();
        // SAFETY: the caller's promise.
        unsafe {
            if self.word(offset) != count as u64 {
                return false;
            }
            if count > INLINE_DIMENSIONS {
                // A pointer to a block of memory that is large enough: looked into when all else fits.
                return self.word(offset + WORD).is_multiple_of(WORD as u64)
                    && self.word(offset + WORD) > 0xFFFF;
            }
            let word = |place: usize| at::<i64>(self.memory, offset + WORD * (1 + place));
            (0..count).all(|index| {
                word(index) == self.facts.sizes[index] && word(INLINE_DIMENSIONS + index) == strides[index]
            })
        }
    }
}

/// The only element, None when there are others or none.
fn only<T>(mut candidates: impl Iterator<Item = T>) -> Option<T> {
    let first = candidates.next()?;
    candidates.next().is_none().then_some(first)
}

impl MemoryPlaces {
    /// Finds the storage in implementations of at least `room` bytes, and the address in storages.
    ///
    /// # Safety
    /// The probes are live tensors with the right addresses.
    unsafe fn find(probes: &[Probe], room: usize) -> Option<Self> {
        let words = |room: usize| (0..=room.saturating_sub(WORD)).step_by(WORD);
        // SAFETY: implementations and storages are read within their blocks of memory.
        unsafe {
            let storage = only(words(room).filter(|&offset| {
                probes
                    .iter()
                    .all(|probe| at::<Implementation>(probe.memory, offset) == probe.storage)
            }))?;
            let storage_room = probes
                .iter()
                .map(|probe| malloc_usable_size(probe.storage as *mut c_void))
                .min()?;
            let data = only(words(storage_room.min(512)).filter(|&offset| {
                probes
                    .iter()
                    .all(|probe| at::<u64>(probe.storage, offset) == probe.data)
            }))?;
            Some(Self { storage, data })
        }
    }
}

impl TensorLayout {
    /// Finds everything in `probes`, a list of `(tensor, address of its implementation)`.
    pub fn measure(
        py: Python<'_>,
        probes: &Bound<'_, PyList>,
        facts: &Py<PyAny>,
        libraries: &Libraries,
    ) -> PyResult<Option<Self>> {
        let mut measured = Vec::new();
        let mut object_size = usize::MAX;
        for probe in probes {
            let (tensor, address, storage, data): (Bound<'_, PyAny>, usize, usize, u64) = probe.extract()?;
            // SAFETY: a live object's type.
            object_size = object_size.min(unsafe { (*ffi::Py_TYPE(tensor.as_ptr())).tp_basicsize } as usize);
            let told = facts.bind(py).call1((&tensor,))?.cast_into::<PyDict>()?;
            measured.push(Probe {
                object: tensor.as_ptr(),
                memory: address as Implementation,
                facts: Facts::read(&told)?,
                storage: storage as Implementation,
                data,
            });
        }
        // SAFETY: the caller's list holds the probes, whose addresses are torch's own.
        let Some(mut layout) = (unsafe { Self::find(&measured, object_size, libraries) }) else {
            return Ok(None);
        };
        let mut leaves = Vec::new();
        for (probe, facts) in probes.iter().zip(&measured) {
            if facts.facts.requires_grad {
                leaves.push((probe.get_item(0)?, facts.memory));
            }
        }
        layout.leaf_flag = layout.find_leaf_flag(&leaves)?;
        Ok(Some(layout))
    }

    /// The one byte of what autograd knows of leaves that is 1 and 0 as their `requires_grad` is set and taken back.
    fn find_leaf_flag(&self, leaves: &[(Bound<'_, PyAny>, Implementation)]) -> PyResult<Option<usize>> {
        let mut candidates: Option<Vec<usize>> = None;
        for (leaf, memory) in leaves {
            for requires_grad in [false, true, false, true] {
                leaf.call_method1("requires_grad_", (requires_grad,))?;
                // SAFETY: calibrated: a leaf that required a gradient has a block of memory there.
                let fits = |&offset: &usize| unsafe {
                    let known: Implementation = at(*memory, self.autograd);
                    !known.is_null()
                        && offset < malloc_usable_size(known as *mut c_void)
                        && at::<u8>(known, offset) == u8::from(requires_grad)
                };
                candidates = Some(match candidates {
                    None => (WORD..1024).filter(fits).collect(),
                    Some(before) => before.into_iter().filter(fits).collect(),
                });
            }
        }
        Ok(candidates.and_then(|candidates| only(candidates.into_iter())))
    }

    /// # Safety
    /// The probes are live tensors with the right addresses; `object_size` is the size of their objects.
    unsafe fn find(probes: &[Probe], object_size: usize, libraries: &Libraries) -> Option<Self> {
        let all = |holds: &dyn Fn(&Probe) -> bool| probes.iter().all(holds);
        // SAFETY: objects are read within their size, implementations within their block of memory.
        unsafe {
            let implementation = only(
                (size_of::<ffi::PyObject>()..=object_size.checked_sub(WORD)?)
                    .step_by(WORD)
                    .filter(|&offset| {
                        all(&|probe| at::<Implementation>(probe.object.cast(), offset) == probe.memory)
                    }),
            )?;
            let room = probes
                .iter()
                .map(|probe| malloc_usable_size(probe.memory as *mut c_void))
                .min()?;
            let room = room.min(512);
            let words = || (0..=room.saturating_sub(WORD)).step_by(WORD);
            let dimension_words = WORD * (1 + 2 * INLINE_DIMENSIONS);
            let dimension = only(
                (0..=room.checked_sub(dimension_words)?)
                    .step_by(WORD)
                    .filter(|&offset| all(&|probe| probe.has_dimensions_at(offset))),
            )?;
            let storage_offset =
                only(words().filter(|&offset| {
                    all(&|probe| probe.word(offset) == probe.facts.storage_offset as u64)
                }))?;
            let key_set =
                only(words().filter(|&offset| all(&|probe| probe.word(offset) == probe.facts.key_set)))?;
            let autograd = only(
                words()
                    .filter(|&offset| all(&|probe| (probe.word(offset) != 0) == probe.facts.requires_grad)),
            )?;
            let dtype_device = only((0..=room - 4).step_by(4).filter(|&offset| {
                let value = |probe: &Probe| at::<u32>(probe.memory, offset);
                // The CPU is device type 0 and has index -1; equal values mean equal dtype and device.
                all(&|probe| !probe.facts.is_on_cpu || value(probe) >> 16 == 0xFF00)
                    && all(&|probe| {
                        probes.iter().all(|other| {
                            (value(probe) == value(other)) == (probe.facts.kind == other.facts.kind)
                        })
                    })
            }))?;
            let requires_grad = libraries.address("_ZNK3c1010TensorImpl13requires_gradEv")?;
            let layout = Self {
                implementation,
                dimension,
                storage_offset,
                dtype_device,
                key_set,
                autograd,
                requires_grad: std::mem::transmute::<usize, unsafe extern "C" fn(Implementation) -> bool>(
                    requires_grad,
                ),
                leaf_flag: None,
                memory: MemoryPlaces::find(probes, room),
            };
            all(&|probe| layout.reads(probe)).then_some(layout)
        }
    }

    /// Whether reading a probe gives what is true of it, out-of-line sizes and strides included.
    ///
    /// # Safety
    /// The probe is live, and its word behind the number of dimensions is a pointer where those are many.
    unsafe fn reads(&self, probe: &Probe) -> bool {
        let count = probe.facts.sizes.len();
        // SAFETY: the caller's promise; an out-of-line block is looked into only if it is large enough.
        unsafe {
            let (sizes, strides) = self.sizes_and_strides(probe.memory, count);
            if count > INLINE_DIMENSIONS && malloc_usable_size(sizes as *mut c_void) < 2 * WORD * count {
                return false;
            }
            std::slice::from_raw_parts(sizes, count) == probe.facts.sizes
                && Some(std::slice::from_raw_parts(strides, count)) == probe.facts.strides.as_deref()
                && self.requires_grad(probe.memory) == probe.facts.requires_grad
        }
    }
}
