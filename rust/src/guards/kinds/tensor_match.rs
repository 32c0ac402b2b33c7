//! The metadata of a tensor: exact class, dispatch keys, dtype, device, `requires_grad`, sizes and strides.
//!
//! The whole dispatch key set is compared. It says what of a tensor is in no other field (conjugate and
//! negative bits, inference tensors, wrapper subclasses), and it cannot make entries without end: none of
//! its keys counts anything, so a tensor of one class and device comes in a handful of sets, and each of
//! them is another program to the kernels. What a thread turns on and off is not in it but in the
//! thread's own set, which the torch-state snapshot compares.
//!
//! Ordinary strided tensors are read at their C++ offsets. Which tensors are ordinary is asked once, of
//! the example; an equal key set then says the same of the tensor met. All others (sparse, nested,
//! subclasses with dispatch code, anything when the offsets are unknown) are compared by a Python
//! function over public accessors.

use super::{Builder, Description, Kind};
use crate::objects::Object;
use crate::torch_abi::{self, TensorLayout, TensorWords};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;

/// See the file's head.
pub struct TensorMatch {
    class: Object,
    comparison: Comparison,
}

enum Comparison {
    Direct(Direct),
    /// A callable, and what it takes besides the tensor: `matches(tensor, facts, sizes, strides)`.
    Asked {
        matches: Object,
        facts: Object,
        sizes: Object,
        strides: Object,
    },
}

struct Direct {
    layout: &'static TensorLayout,
    words: TensorWords,
    requires_grad: bool,
    dimensions: Box<[Dimension]>,
}

/// What one dimension is compared with; a mask of 0 compares nothing, one of -1 everything.
struct Dimension {
    size: i64,
    size_mask: i64,
    stride: i64,
    stride_mask: i64,
}

impl TensorMatch {
    /// Whether tensors that match can be read directly.
    pub fn is_direct(&self) -> bool {
        matches!(self.comparison, Comparison::Direct(_))
    }
}

/// What is expected and its mask.
fn masked(expected: Option<i64>) -> (i64, i64) {
    expected.map_or((0, 0), |number| (number, -1))
}

fn dimensions(sizes: &Bound<'_, PyAny>, strides: &Bound<'_, PyAny>) -> PyResult<Box<[Dimension]>> {
    let (sizes, strides): (Vec<Option<i64>>, Vec<Option<i64>>) = (sizes.extract()?, strides.extract()?);
    if sizes.len() != strides.len() {
        return Err(PyValueError::new_err("a tensor has as many strides as sizes"));
    }
    let dimension = |(size, stride): (Option<i64>, Option<i64>)| {
        let ((size, size_mask), (stride, stride_mask)) = (masked(size), masked(stride));
        Dimension {
            size,
            size_mask,
            stride,
            stride_mask,
        }
    };
    Ok(sizes.into_iter().zip(strides).map(dimension).collect())
}

impl Kind for TensorMatch {
    /// `("tensor_match", example, sizes, strides)`.
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self> {
        let [example, sizes, strides] = description.arguments()?;
        let torch = torch_abi::calibrated()?;
        let class = builder.keep(example.get_type().as_any());
        let facts = torch.facts_of(&example)?;
        if let Some((layout, words)) = torch.direct_words(&example, &facts)?
            && !strides.is_none()
        {
            let requires_grad = facts.as_any().get_item("requires_grad")?.extract()?;
            let dimensions = dimensions(&sizes, &strides)?;
            if dimensions.len() != words.dimension() {
                return Err(PyValueError::new_err("a tensor has as many sizes as dimensions"));
            }
            let direct = Direct {
                layout,
                words,
                requires_grad,
                dimensions,
            };
            return Ok(Self {
                class,
                comparison: Comparison::Direct(direct),
            });
        }
        builder.careful = true;
        let comparison = Comparison::Asked {
            matches: builder.keep(torch.matches(example.py())),
            facts: builder.keep(&facts),
            sizes: builder.keep(&sizes),
            strides: builder.keep(&strides),
        };
        Ok(Self { class, comparison })
    }

    #[inline]
    unsafe fn holds(&self, value: Object, _values: &[Object]) -> bool {
        // SAFETY: the exact class is checked first: a tensor class, whose structure is a tensor's.
        unsafe {
            if ffi::Py_TYPE(value).cast::<ffi::PyObject>() != self.class {
                return false;
            }
            match &self.comparison {
                Comparison::Direct(direct) => direct.holds(value),
                Comparison::Asked {
                    matches,
                    facts,
                    sizes,
                    strides,
                } => {
                    let arguments = [value, *facts, *sizes, *strides];
                    let answer =
                        ffi::PyObject_Vectorcall(*matches, arguments.as_ptr(), 4, std::ptr::null_mut());
                    if answer.is_null() {
                        ffi::PyErr_Clear();
                        return false;
                    }
                    let holds = answer == ffi::Py_True();
                    ffi::Py_DECREF(answer);
                    holds
                }
            }
        }
    }
}

impl Direct {
    /// # Safety
    /// `value` is a tensor of the class of the example.
    #[inline]
    unsafe fn holds(&self, value: Object) -> bool {
        // SAFETY: equal words mean the example's kind of tensor, whose sizes and strides are in place and
        // as many as expected.
        unsafe {
            let tensor = self.layout.implementation(value);
            if self.layout.words(tensor) != self.words {
                return false;
            }
            let (sizes, strides) = self.layout.sizes_and_strides(tensor, self.dimensions.len());
            let mut different = 0;
            for (index, dimension) in self.dimensions.iter().enumerate() {
                different |= (*sizes.add(index) ^ dimension.size) & dimension.size_mask;
                different |= (*strides.add(index) ^ dimension.stride) & dimension.stride_mask;
            }
            different == 0 && self.layout.requires_grad(tensor) == self.requires_grad
        }
    }
}
