//! Callable rules: how a callable met during capture is to be treated, known by identity.
//!
//! The tables and the predicates are Python, in `framelift/rules/`, where a person reads them. This
//! folder keeps what they decided and answers again without them: [`identity`] maps an object to its
//! rule, holding it so that an address never outlives its object; [`canonical`] finds the one object
//! that stands for a bound or wrapped callable; [`table`] asks them in the order of precedence.
//!
//! The order is: markers on a function, the user's own rule for the object, what torch's decorators
//! recorded, the row of a table, what a predicate said before, and, for a Python function, the rule of
//! its module. Each module's rows are registered when the first of its objects is looked up.

mod canonical;
mod identity;
mod table;

use pyo3::prelude::*;

/// Adds `RuleTable` to `framelift._native`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<table::RuleTable>()
}
