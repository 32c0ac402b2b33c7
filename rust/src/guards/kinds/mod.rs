//! The kinds of guards, one file each, of the same name as the class in `guards/kinds.py`.
//!
//! A new kind is a file here and a line in the table below.

use super::build::{Builder, Description};
use crate::objects::Object;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A fact about the object of a node.
pub trait Kind: Sized {
    /// Reads the arguments of a description such as `("type_is", class)`.
    fn parse(description: &Description<'_>, builder: &mut Builder) -> PyResult<Self>;

    /// Whether the fact holds. `values` has the objects of all nodes up to this one.
    ///
    /// # Safety
    /// `value` and `values` are live objects; the thread is attached, with no exception set. No user code
    /// is run and no exception left.
    unsafe fn holds(&self, value: Object, values: &[Object]) -> bool;
}

macro_rules! kinds {
    ($($name:literal $file:ident $kind:ident),* $(,)?) => {
        $(mod $file;)*

        /// A guard of any kind.
        pub enum Guard {
            $($kind($file::$kind),)*
        }

        impl Guard {
            /// Reads a description whose first part is the kind's name.
            pub fn parse(description: &Bound<'_, PyAny>, builder: &mut Builder) -> PyResult<Self> {
                let description = Description::new(description)?;
                match description.name() {
                    $($name => $file::$kind::parse(&description, builder).map(Self::$kind),)*
                    other => Err(PyValueError::new_err(format!("no guard is called {other:?}"))),
                }
            }

            /// Whether the guard holds.
            ///
            /// # Safety
            /// As for [`Kind::holds`].
            #[inline]
            pub unsafe fn holds(&self, value: Object, values: &[Object]) -> bool {
                match self {
                    // SAFETY: the caller's promise.
                    $(Self::$kind(guard) => unsafe { guard.holds(value, values) },)*
                }
            }
        }
    };
}

kinds! {
    "type_is" type_is TypeIs,
    "is" is Is,
    "is_not" is_not IsNot,
    "equals" equals Equals,
    "length" length Length,
    "dict_keys" dict_keys DictKeys,
    "dict_missing" dict_missing DictMissing,
    "set_equals" set_equals SetEquals,
    "set_order" set_order SetOrder,
    "type_attribute" type_attribute TypeAttribute,
    "mro" mro Mro,
    "code_is" code_is CodeIs,
    "no_instance_dict" no_instance_dict NoInstanceDict,
    "slot_empty" slot_empty SlotEmpty,
    "cell_empty" cell_empty CellEmpty,
    "same_as" same_as SameAs,
    "tensor_match" tensor_match TensorMatch,
}

impl Guard {
    /// Whether this compares a tensor whose metadata lies where [`crate::torch_abi`] reads it directly.
    pub fn reads_tensor_directly(&self) -> bool {
        matches!(self, Self::TensorMatch(guard) if guard.is_direct())
    }
}
