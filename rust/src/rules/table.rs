//! `RuleTable`: the rules known so far, and the one question asked of them.

use std::cell::RefCell;

use pyo3::PyTraverseError;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PySet, PyString, PyTuple};

use crate::frames;

use super::canonical::unbound;
use super::identity::{Found, Held, IdentityMap, Layer, Released, hold};

/// The longest chain of bound methods and wrappers followed: longer ones are cycles.
const LONGEST_CHAIN: usize = 32;

/// What is decided in Python, once for each object or module, and remembered here.
struct Decisions {
    /// `classify(object) -> (rule, remember)`: the rule of anything that isn't a Python function.
    classify: Py<PyAny>,
    /// `module_rule(name) -> (rule, remember)`: registers a module's rows, answers for its functions.
    module_rule: Py<PyAny>,
    /// `marked(function, marker) -> rule | None`: the rule a marker in a function's dict stands for.
    marked: Py<PyAny>,
    /// The names of these markers.
    markers: Py<PyTuple>,
    /// `recorded_sets() -> ((set of ids, rule), ...) | None`: what torch's decorators record by id.
    recorded_sets: Py<PyAny>,
    /// `settle(object) -> bool`: registers the rows of the object's module; whether that was news.
    settle: Py<PyAny>,
}

/// The rules known so far. See the module's documentation for the order in which they are asked.
#[pyclass(frozen, module = "framelift._native")]
pub struct RuleTable {
    decisions: Decisions,
    rules: GilCell<IdentityMap>,
    pure: GilCell<IdentityMap>,
    /// Module name to the rule of its functions.
    modules: Py<PyDict>,
    system_modules: Py<PyDict>,
    /// The size of `sys.modules` when torch's sets were looked for last.
    modules_seen: GilCell<usize>,
    recorded: GilCell<Option<Py<PyTuple>>>,
}

/// A cell that is only reached with the GIL held (the crate refuses builds without one), and never
/// borrowed across a call into Python.
#[derive(Default)]
struct GilCell<T>(RefCell<T>);

// SAFETY: every access takes a `Python` token (`with`, `visit`), so the GIL orders them.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    fn with<R>(&self, _py: Python<'_>, action: impl FnOnce(&mut T) -> R) -> R {
        action(&mut self.0.borrow_mut())
    }
}

impl GilCell<IdentityMap> {
    /// The live entry of an object; a dead one at its address is dropped.
    fn entry(&self, object: &Bound<'_, PyAny>) -> Option<(Layer, Py<PyAny>)> {
        let py = object.py();
        match self.with(py, |map| map.get(object)) {
            Found::Nothing => None,
            Found::Here(layer, value) => Some((layer, value)),
            Found::Dead => {
                let released: Option<Held> = self.with(py, |map| map.forget(object));
                drop(released);
                None
            }
        }
    }

    /// Stores an entry, if none that takes precedence is alive.
    fn store(&self, object: &Bound<'_, PyAny>, layer: Layer, value: Py<PyAny>) -> PyResult<()> {
        let held = hold(object, layer, value)?;
        let released: Released = self.with(object.py(), |map| map.insert(object, held));
        drop(released);
        Ok(())
    }
}

#[pymethods]
impl RuleTable {
    #[new]
    fn new(
        classify: Py<PyAny>,
        module_rule: Py<PyAny>,
        marked: Py<PyAny>,
        markers: Py<PyTuple>,
        recorded_sets: Py<PyAny>,
        settle: Py<PyAny>,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let system_modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
        Ok(Self {
            decisions: Decisions {
                classify,
                module_rule,
                marked,
                markers,
                recorded_sets,
                settle,
            },
            rules: GilCell::default(),
            pure: GilCell::default(),
            modules: PyDict::new(py).unbind(),
            system_modules: system_modules.unbind(),
            modules_seen: GilCell::default(),
            recorded: GilCell::default(),
        })
    }

    /// The rule of any object.
    fn lookup<'py>(&self, object: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = object.py();
        self.notice_recorded(py)?;
        let mut current = object;
        for _ in 0..LONGEST_CHAIN {
            if let Some(rule) = self.known(&current)? {
                return Ok(rule);
            }
            if let Some(next) = unbound(&current)? {
                current = next;
            } else if let Ok(function) = current.cast::<PyFunction>() {
                return self.rule_of_function(function);
            } else {
                return self.classified(&current);
            }
        }
        Err(PyRuntimeError::new_err("a bound method is bound to itself"))
    }

    /// What is known of this very object: a marker, an entry, or what torch's decorators recorded.
    fn known<'py>(&self, object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = object.py();
        if let Ok(function) = object.cast::<PyFunction>()
            && let Some(rule) = self.rule_of_markers(function)?
        {
            return Ok(Some(rule));
        }
        let entry = self.rules.entry(object);
        if let Some((Layer::User, rule)) = entry {
            return Ok(Some(rule.into_bound(py)));
        }
        if let Some(rule) = self.recorded_rule(object)? {
            return Ok(Some(rule));
        }
        Ok(entry.map(|(_, rule)| rule.into_bound(py)))
    }

    /// Whether calling the object has no effect and its result depends on its arguments alone.
    fn is_pure(&self, object: Bound<'_, PyAny>) -> PyResult<bool> {
        let object = Self::canonical(object)?;
        if self.holds_pure(&object) {
            return Ok(true);
        }
        let settled = self.decisions.settle.bind(object.py()).call1((&object,))?;
        Ok(settled.is_truthy()? && self.holds_pure(&object))
    }

    /// The object rules are kept for: what a bound method or bound C function was made from.
    #[staticmethod]
    fn canonical(object: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
        let mut current = object;
        for _ in 0..LONGEST_CHAIN {
            match unbound(&current)? {
                Some(next) => current = next,
                None => return Ok(current),
            }
        }
        Err(PyRuntimeError::new_err("a bound method is bound to itself"))
    }

    /// Gives an object a rule; `layer` is "user" or "row".
    fn assign(&self, object: Bound<'_, PyAny>, rule: Py<PyAny>, layer: &str) -> PyResult<()> {
        let object = Self::canonical(object)?;
        frames::forget_decisions(object.py());
        self.rules.store(&object, layer_named(layer)?, rule)
    }

    /// Says that a callable is pure.
    fn assign_pure(&self, object: Bound<'_, PyAny>) -> PyResult<()> {
        let py = object.py();
        let object = Self::canonical(object)?;
        self.pure.store(&object, Layer::Row, py.None())
    }

    /// Forgets what predicates and module lists answered: the lists have changed.
    fn forget_answers(&self, py: Python<'_>) {
        frames::forget_decisions(py);
        self.modules.bind(py).clear();
        let released = self.rules.with(py, |rules| rules.clear(Some(Layer::Predicate)));
        drop(released);
    }

    /// Forgets everything.
    fn clear(&self, py: Python<'_>) {
        frames::forget_decisions(py);
        self.modules.bind(py).clear();
        let rules = self.rules.with(py, |rules| rules.clear(None));
        let pure = self.pure.with(py, |pure| pure.clear(None));
        let recorded = self.recorded.with(py, Option::take);
        self.modules_seen.with(py, |seen| *seen = 0);
        drop((rules, pure, recorded));
    }

    /// How many objects have an entry, those that died since the last sweep included.
    fn __len__(&self, py: Python<'_>) -> usize {
        self.rules.with(py, |rules| rules.len())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let decisions = &self.decisions;
        for callback in [
            &decisions.classify,
            &decisions.module_rule,
            &decisions.marked,
            &decisions.recorded_sets,
            &decisions.settle,
        ] {
            visit.call(callback)?;
        }
        visit.call(&decisions.markers)?;
        visit.call(&self.modules)?;
        visit.call(&self.system_modules)?;
        // Nothing allocates while a cell is borrowed, so the collector finds none that is.
        if let Ok(rules) = self.rules.0.try_borrow() {
            rules.traverse(&visit)?;
        }
        if let Ok(pure) = self.pure.0.try_borrow() {
            pure.traverse(&visit)?;
        }
        if let Ok(recorded) = self.recorded.0.try_borrow() {
            visit.call(&*recorded)?;
        }
        Ok(())
    }
}

impl RuleTable {
    fn holds_pure(&self, object: &Bound<'_, PyAny>) -> bool {
        self.pure.entry(object).is_some()
    }

    /// The rule of the first marker in a function's dict; most functions have no dict.
    fn rule_of_markers<'py>(&self, function: &Bound<'py, PyFunction>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = function.py();
        // SAFETY: exactly a Python function, so it has this layout; the dict is null or owned by it.
        let names = unsafe { (*function.as_ptr().cast::<ffi::PyFunctionObject>()).func_dict };
        // SAFETY: a function's dict is a dict: CPython refuses anything else.
        if names.is_null() || unsafe { ffi::PyDict_Size(names) } == 0 {
            return Ok(None);
        }
        // SAFETY: as above; an owned reference is made before anything can replace the dict.
        let names = unsafe { Bound::from_borrowed_ptr(py, names) }.cast_into::<PyDict>()?;
        for marker in self.decisions.markers.bind(py).iter() {
            if names.contains(&marker)? {
                let rule = self.decisions.marked.bind(py).call1((function, marker))?;
                if !rule.is_none() {
                    return Ok(Some(rule));
                }
            }
        }
        Ok(None)
    }

    /// The rule of a Python function that has none of its own: that of the module it was written in.
    ///
    /// `__globals__` says where; `__module__` may have been copied from a wrapped function, whose
    /// module's rows may then name the wrapper, so that module is registered too.
    fn rule_of_function<'py>(&self, function: &Bound<'py, PyFunction>) -> PyResult<Bound<'py, PyAny>> {
        let py = function.py();
        // SAFETY: exactly a Python function; both results are borrowed and made owned at once, and null
        // only where a function has no module.
        let (globals, claimed) = unsafe {
            (
                Bound::from_borrowed_ptr(py, ffi::PyFunction_GetGlobals(function.as_ptr())),
                Bound::from_borrowed_ptr_or_opt(py, ffi::PyFunction_GetModule(function.as_ptr())),
            )
        };
        let written = globals.cast_into::<PyDict>()?.get_item(intern!(py, "__name__"))?;
        let (rule, mut news) = self.module_rule(py, written.as_ref())?;
        if let Some(claimed) = claimed
            && !written.as_ref().is_some_and(|written| written.is(&claimed))
        {
            news |= self.module_rule(py, Some(&claimed))?.1;
        }
        // Registering a module may have given this very function a row.
        if news && let Some((_, own)) = self.rules.entry(function.as_any()) {
            return Ok(own.into_bound(py));
        }
        Ok(rule)
    }

    /// The rule for functions of a module, and whether its rows were registered only now.
    fn module_rule<'py>(
        &self,
        py: Python<'py>,
        name: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, bool)> {
        let name = match name {
            Some(name) if name.is_exact_instance_of::<PyString>() => name.clone(),
            _ => intern!(py, "").clone().into_any(),
        };
        if let Some(rule) = self.modules.bind(py).get_item(&name)? {
            return Ok((rule, false));
        }
        let (rule, remember) = self
            .decisions
            .module_rule
            .bind(py)
            .call1((&name,))?
            .extract::<(Bound<'py, PyAny>, bool)>()?;
        if remember {
            self.modules.bind(py).set_item(name, &rule)?;
        }
        Ok((rule, true))
    }

    /// Asks the predicates, and remembers their answer if they say so.
    fn classified<'py>(&self, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = object.py();
        let (rule, remember) = self
            .decisions
            .classify
            .bind(py)
            .call1((object,))?
            .extract::<(Bound<'py, PyAny>, bool)>()?;
        if remember {
            self.rules
                .store(object, Layer::Predicate, rule.clone().unbind())?;
        }
        Ok(rule)
    }

    /// Looks for torch's record again whenever modules were imported, until it is there.
    fn notice_recorded(&self, py: Python<'_>) -> PyResult<()> {
        let size = self.system_modules.bind(py).len();
        let unchanged = self.recorded.with(py, |recorded| recorded.is_some())
            || self
                .modules_seen
                .with(py, |seen| std::mem::replace(seen, size) == size);
        if unchanged {
            return Ok(());
        }
        let sets = self.decisions.recorded_sets.bind(py).call0()?;
        let sets = sets.extract::<Option<Bound<'_, PyTuple>>>()?.map(Bound::unbind);
        let previous = self
            .recorded
            .with(py, |recorded| std::mem::replace(recorded, sets));
        drop(previous);
        Ok(())
    }

    /// What torch's decorators recorded for this object. Nearly always all sets are empty.
    fn recorded_rule<'py>(&self, object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = object.py();
        let Some(recorded) = self
            .recorded
            .with(py, |recorded| recorded.as_ref().map(|sets| sets.clone_ref(py)))
        else {
            return Ok(None);
        };
        for pair in recorded.bind(py).iter() {
            let pair = pair.cast_into::<PyTuple>()?;
            let identities = pair.get_item(0)?.cast_into::<PySet>()?;
            if !identities.is_empty() && identities.contains(object.as_ptr() as usize)? {
                return Ok(Some(pair.get_item(1)?));
            }
        }
        Ok(None)
    }
}

fn layer_named(name: &str) -> PyResult<Layer> {
    match name {
        "user" => Ok(Layer::User),
        "row" => Ok(Layer::Row),
        _ => Err(PyValueError::new_err(format!("no such layer: {name}"))),
    }
}
