//! The kinds of guards, one file each, of the same name as the class in `guards/kinds.py`.
//!
//! A new kind is a file here and a line in the table below.

use super::build::{Builder, Description};
use super::standing::Words;
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

    /// Keeps the words that imply the fact, which holds now; false where there are none and each call checks.
    /// `firm` says that the words kept so far imply that this is the same object, not only the same address.
    ///
    /// # Safety
    /// `value` is live, and words may be read from it.
    unsafe fn standing(&self, _value: Object, _firm: bool, _words: &mut Words) -> bool {
        false
    }
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

            /// Keeps the words that imply the guard.
            ///
            /// # Safety
            /// As for [`Kind::standing`].
            pub unsafe fn standing(&self, value: Object, firm: bool, words: &mut Words) -> bool {
                match self {
                    // SAFETY: the caller's promise.
                    $(Self::$kind(guard) => unsafe { guard.standing(value, firm, words) },)*
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
    "items_left" items_left ItemsLeft,
    "same_as" same_as SameAs,
    "tensor_match" tensor_match TensorMatch,
}

impl Guard {
    /// Whether this compares a tensor whose metadata lies where [`crate::torch_abi`] reads it directly.
    pub fn reads_tensor_directly(&self) -> bool {
        matches!(self, Self::TensorMatch(guard) if guard.is_direct())
    }

    /// Whether this says what type the object has, and keeps that type alive.
    pub fn fixes_type(&self) -> bool {
        matches!(self, Self::TypeIs(_) | Self::TensorMatch(_))
    }

    /// Whether this says which object it is, and keeps that object alive.
    pub fn fixes_object(&self) -> bool {
        matches!(self, Self::Is(_))
    }
}
