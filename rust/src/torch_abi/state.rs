//! Torch's state of the calling thread and of the process: what kernels and Python code read implicitly.
//!
//! Each row of the table in `torch_internals.py` is one number: a mode, a flag, a set of dispatch keys. A
//! row is read in the fastest way that is established for it: a word of thread-local memory, a byte of
//! torch's global context, a call of a C++ getter that cannot throw, or a call of a Python function.
//! Getters are taken only when they agree with the Python function at calibration.

use super::symbols::Libraries;
use super::{calibrated, current_modes};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::cell::Cell;

type Getter = unsafe extern "C" fn(usize, usize, usize) -> u64;

/// One way to read a number.
enum Reading {
    /// Word `index` of the thread's dispatch key sets, and what its default is stored as.
    ThreadKeys { index: usize, default: u64 },
    /// A byte of the thread's `AutogradState`.
    ThreadAutograd { offset: usize },
    /// A field of the thread's `PythonTorchFunctionTLS`.
    ThreadFunctions(FunctionModes),
    /// Bytes at a fixed address.
    Memory8(usize),
    Memory32(usize),
    Call { getter: Getter, arguments: [usize; 3], mask: u64, least: u64 },
    Python,
}

/// What is read of the function modes of a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FunctionModes {
    /// Whether torch functions are overridden: the first field.
    Disabled,
    /// The number of modes: the length of a vector of shared pointers, the third field.
    Depth,
}

/// A row of the table.
struct Reader {
    name: String,
    reading: Reading,
    read: Py<PyAny>,
}

/// All rows.
pub struct Readers {
    readers: Vec<Reader>,
    libraries: Libraries,
    autograd: Option<AutogradState>,
    functions: Option<FunctionState>,
}

/// Gives the address of the thread's `PythonTorchFunctionTLS`.
type FunctionState = unsafe extern "C" fn() -> usize;

/// Gives the address of the thread's `AutogradState`. Takes room for a result, because releases that
/// return the state by value would write it there.
type AutogradState = unsafe extern "C" fn(*mut [u64; 32]) -> usize;

const THREAD_KEYS: &str = "_ZN3c104impl26raw_local_dispatch_key_setE";
const AUTOGRAD_STATE: &str = "_ZN3c1013AutogradState13get_tls_stateEv";

/// Where a thread keeps its state.
#[derive(Clone, Copy)]
struct ThreadMemory {
    keys: *const u64,
    autograd: *const u8,
    functions: *const u64,
}

impl ThreadMemory {
    /// # Safety
    /// The place of the function modes is established, and this is the memory of the calling thread.
    #[inline]
    unsafe fn read(self, what: FunctionModes) -> u64 {
        const SHARED_POINTER: u64 = 16;
        // SAFETY: the caller's promise.
        unsafe {
            match what {
                FunctionModes::Disabled => u64::from(*self.functions.cast::<u32>()),
                FunctionModes::Depth => (*self.functions.add(2) - *self.functions.add(1)) / SHARED_POINTER,
            }
        }
    }
}

thread_local! {
    /// Nulls until this thread first asks.
    static MEMORY: Cell<ThreadMemory> =
        const {
            Cell::new(ThreadMemory {
                keys: std::ptr::null(),
                autograd: std::ptr::null(),
                functions: std::ptr::null(),
            })
        };
}

impl Readers {
    /// Finds the fastest way to read each row `(name, symbol, receiver, arguments, width, read)`.
    ///
    /// `change_modes` and `restore_modes` are for [`Self::verify_function_modes`].
    pub fn find(
        rows: &Bound<'_, PyList>,
        libraries: &Libraries,
        change_modes: &Bound<'_, PyAny>,
        restore_modes: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        // SAFETY: torch's accessor of its global context, which takes nothing and returns its address.
        let context = libraries.address("_ZN2at13globalContextEv").map(|address| unsafe {
            std::mem::transmute::<usize, extern "C" fn() -> usize>(address)()
        });
        let mut found = Self { readers: Vec::new(), libraries: libraries.clone(), autograd: None, functions: None };
        found.verify_function_modes(change_modes, restore_modes)?;
        for row in rows {
            let (name, symbol, receiver, arguments, width, read): (
                String,
                Option<String>,
                String,
                Vec<usize>,
                u32,
                Py<PyAny>,
            ) = row.extract()?;
            let address = symbol.as_deref().and_then(|symbol| libraries.address(symbol));
            let told = read.bind(row.py()).call0()?.extract::<u64>()?;
            let candidates = match address {
                Some(_) if receiver == "autograd" => found.autograd_byte(told).into_iter().collect(),
                Some(address) if receiver == "function modes" => {
                    let what = if arguments == [0] { FunctionModes::Disabled } else { FunctionModes::Depth };
                    let direct = found.functions.map(|_| Reading::ThreadFunctions(what));
                    let call = candidates(address, "function", context, &[], width, told);
                    direct.into_iter().chain(call).collect()
                }
                Some(address) => candidates(address, &receiver, context, &arguments, width, told),
                None => Vec::new(),
            };
            let reading = candidates
                .into_iter()
                .find(|reading| found.read(reading, &read, row.py()).is_ok_and(|value| value == told))
                .unwrap_or(Reading::Python);
            found.readers.push(Reader { name, reading, read });
        }
        Ok(found)
    }

    /// The byte of the thread's `AutogradState` that holds its modes: the only one that has the right value
    /// and follows when the grad mode of this thread is turned over and back.
    fn autograd_byte(&mut self, told: u64) -> Option<Reading> {
        const SIZE: usize = 48;
        let state = self.libraries.address(AUTOGRAD_STATE)?;
        let set_grad_mode = self.libraries.address("aoti_torch_grad_mode_set_enabled")?;
        // SAFETY: torch's functions. The first either returns an address or fills the room; a result that
        // is neither small nor the room is the address of thread-local memory.
        unsafe {
            let state = std::mem::transmute::<usize, AutogradState>(state);
            let set_grad_mode = std::mem::transmute::<usize, unsafe extern "C" fn(bool)>(set_grad_mode);
            let mut room = [0; 32];
            let address = state(&raw mut room);
            if address < 0x10000 || address == (&raw const room) as usize || !address.is_multiple_of(8) {
                return None;
            }
            let bytes = || std::slice::from_raw_parts(address as *const u8, SIZE).to_vec();
            let before = bytes();
            set_grad_mode(told & 1 == 0);
            let after = bytes();
            set_grad_mode(told & 1 != 0);
            let mut changed = (0..SIZE).filter(|&offset| before[offset] != after[offset]);
            let offset = changed.next()?;
            let follows = u64::from(before[offset]) == told && u64::from(after[offset]) == told ^ 1;
            if !follows || changed.next().is_some() {
                return None;
            }
            self.autograd = Some(state);
            MEMORY.with(|memory| memory.set(self.find_thread_memory()));
            Some(Reading::ThreadAutograd { offset })
        }
    }

    /// Whether `PythonTorchFunctionTLS` is laid out as [`ThreadMemory::read`] reads it: `change` pushes a mode
    /// and disables torch functions, `restore` undoes both, on this thread alone.
    pub fn verify_function_modes(&mut self, change: &Bound<'_, PyAny>, restore: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(address) = self.libraries.address("_ZN2at4impl22PythonTorchFunctionTLS9get_stateEv") else {
            return Ok(());
        };
        // SAFETY: torch's function, which gives the address of thread-local memory of at least four words.
        let fields = || unsafe {
            let state = std::mem::transmute::<usize, FunctionState>(address);
            let memory = ThreadMemory {
                keys: std::ptr::null(),
                autograd: std::ptr::null(),
                functions: state() as *const u64,
            };
            (memory.read(FunctionModes::Disabled), memory.read(FunctionModes::Depth))
        };
        let before = fields();
        change.call0()?;
        let changed = fields();
        restore.call0()?;
        if before == (0, 0) && changed == (2, 1) && fields() == before {
            // SAFETY: as above.
            self.functions = Some(unsafe { std::mem::transmute::<usize, FunctionState>(address) });
            MEMORY.with(|memory| memory.set(self.find_thread_memory()));
        }
        Ok(())
    }

    /// How each row is read, by name.
    pub fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = PyDict::new(py);
        for reader in &self.readers {
            let how = match reader.reading {
                Reading::ThreadKeys { .. } | Reading::ThreadAutograd { .. } | Reading::ThreadFunctions(_) => {
                    "thread memory"
                }
                Reading::Memory8(_) | Reading::Memory32(_) => "memory",
                Reading::Call { .. } => "call",
                Reading::Python => "python",
            };
            report.set_item(&reader.name, how)?;
        }
        Ok(report)
    }

    /// Where the calling thread keeps its state.
    #[inline]
    fn thread_memory(&self) -> ThreadMemory {
        MEMORY.with(|memory| {
            if memory.get().keys.is_null() {
                memory.set(self.find_thread_memory());
            }
            memory.get()
        })
    }

    #[cold]
    fn find_thread_memory(&self) -> ThreadMemory {
        let keys = self.libraries.address(THREAD_KEYS).unwrap_or(0) as *const u64;
        let mut room = [0; 32];
        // SAFETY: torch's function, which gives the address of this thread's state.
        let autograd = self.autograd.map_or(0, |state| unsafe { state(&raw mut room) });
        // SAFETY: torch's function, which gives the address of this thread's function modes.
        let functions = self.functions.map_or(0, |state| unsafe { state() });
        ThreadMemory { keys, autograd: autograd as *const u8, functions: functions as *const u64 }
    }

    /// The number, when reading it needs no Python.
    #[inline]
    fn read_natively(&self, reading: &Reading) -> Option<u64> {
        // SAFETY: addresses and functions were established at calibration; they stay for the life of the
        // process, thread memory for that of the thread, which is the calling one.
        unsafe {
            Some(match *reading {
                Reading::ThreadKeys { index, default } => *self.thread_memory().keys.add(index) ^ default,
                Reading::ThreadAutograd { offset } => {
                    u64::from(*self.thread_memory().autograd.add(offset))
                }
                Reading::ThreadFunctions(what) => self.thread_memory().read(what),
                Reading::Memory8(address) => u64::from(*(address as *const u8)),
                Reading::Memory32(address) => u64::from(*(address as *const u32)),
                Reading::Call { getter, arguments: [first, second, third], mask, least } => {
                    (getter(first, second, third) & mask).max(least)
                }
                Reading::Python => return None,
            })
        }
    }

    fn read(&self, reading: &Reading, read: &Py<PyAny>, py: Python<'_>) -> PyResult<u64> {
        match self.read_natively(reading) {
            Some(value) => Ok(value),
            None => read.bind(py).call0()?.extract(),
        }
    }
}

/// Ways to read what the function or variable at `address` gives, the fastest first.
fn candidates(
    address: usize,
    receiver: &str,
    context: Option<usize>,
    arguments: &[usize],
    width: u32,
    told: u64,
) -> Vec<Reading> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    let mask = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
    // SAFETY: the table names functions of this signature, which neither throw nor keep anything.
    let getter = || unsafe { std::mem::transmute::<usize, Getter>(address) };
    match (receiver, context) {
        ("thread keys", _) => {
            let index = argument(0);
            // SAFETY: the variable is two words of thread-local memory.
            let raw = unsafe { *(address as *const u64).add(index) };
            vec![Reading::ThreadKeys { index, default: raw ^ told }]
        }
        // 0 says "as the level above has it", which is what 1 says explicitly.
        ("precision", Some(context)) => {
            let arguments = [context, argument(0), argument(1)];
            vec![Reading::Call { getter: getter(), arguments, mask, least: 1 }]
        }
        ("context", Some(context)) => {
            let arguments = [context, argument(0), argument(1)];
            let call = Reading::Call { getter: getter(), arguments, mask, least: 0 };
            // SAFETY: the address of a function of torch.
            let load = unsafe { only_loads(address, Some(context)) };
            load.into_iter().chain([call]).collect()
        }
        ("variable", _) => vec![if width == 8 { Reading::Memory8(address) } else { Reading::Memory32(address) }],
        ("function", _) => {
            let given = [argument(0), argument(1), argument(2)];
            let call = Reading::Call { getter: getter(), arguments: given, mask, least: 0 };
            // SAFETY: the address of a function of torch, which loads from no receiver.
            let load = if arguments.is_empty() { unsafe { only_loads(address, None) } } else { None };
            load.into_iter().chain([call]).collect()
        }
        _ => Vec::new(),
    }
}

/// The memory that a getter reads when its machine code is one load, from its receiver if it has one or from
/// a variable, and a return: those
/// eight bytes are its whole meaning, so reading the memory is the same as calling it.
///
/// # Safety
/// `function` is the address of a function.
unsafe fn only_loads(function: usize, receiver: Option<usize>) -> Option<Reading> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let next = |place: usize, offset: [u8; 4]| {
        (function + place).wrapping_add_signed(i32::from_le_bytes(offset) as isize)
    };
    // SAFETY: functions are padded to 16 bytes, so this much of the text is readable.
    let text = unsafe { std::slice::from_raw_parts(function as *const u8, 16) };
    let code = text.strip_prefix(&[0xF3, 0x0F, 0x1E, 0xFA]).unwrap_or(text); // endbr64
    let skipped = text.len() - code.len();
    let short = |offset: u8| Some(receiver?.wrapping_add_signed(isize::from(offset.cast_signed())));
    let long = |offset: [u8; 4]| Some(receiver?.wrapping_add_signed(i32::from_le_bytes(offset) as isize));
    match *code {
        // movzx eax, byte [rdi + offset]; ret
        [0x0F, 0xB6, 0x47, offset, 0xC3, ..] => short(offset).map(Reading::Memory8),
        [0x0F, 0xB6, 0x87, a, b, c, d, 0xC3, ..] => long([a, b, c, d]).map(Reading::Memory8),
        // movzx eax, byte [rip + offset]; ret
        [0x0F, 0xB6, 0x05, a, b, c, d, 0xC3, ..] => Some(Reading::Memory8(next(skipped + 7, [a, b, c, d]))),
        // mov eax, dword [rdi + offset]; ret
        [0x8B, 0x47, offset, 0xC3, ..] => short(offset).map(Reading::Memory32),
        [0x8B, 0x87, a, b, c, d, 0xC3, ..] => long([a, b, c, d]).map(Reading::Memory32),
        _ => None,
    }
}

/// Eight aligned bytes of memory, some bits of which must have a value. Flags lie side by side, so a
/// dozen of them are one comparison.
struct Word {
    address: *const u64,
    mask: u64,
    expected: u64,
}

/// A getter and what it must give.
struct Call {
    getter: Getter,
    arguments: [usize; 3],
    mask: u64,
    least: u64,
    expected: u64,
}

/// What a snapshot compares, grouped by how it is read.
#[derive(Default)]
struct Checks {
    /// Index, stored value.
    thread_keys: Vec<(usize, u64)>,
    /// Offset, value.
    thread_autograd: Option<(usize, u8)>,
    /// Depth, disabled state.
    thread_functions: Vec<(FunctionModes, u64)>,
    words: Vec<Word>,
    calls: Vec<Call>,
    /// Rows that are asked in Python.
    asked: Vec<usize>,
}

impl Checks {
    /// How to compare all rows with `values`.
    fn new(readers: &[Reader], values: &[u64]) -> Self {
        let mut checks = Self::default();
        for (row, (reader, &expected)) in readers.iter().zip(values).enumerate() {
            match reader.reading {
                Reading::ThreadKeys { index, default } => checks.thread_keys.push((index, expected ^ default)),
                Reading::ThreadAutograd { offset } => checks.thread_autograd = Some((offset, expected as u8)),
                Reading::ThreadFunctions(what) => checks.thread_functions.push((what, expected)),
                Reading::Memory8(address) => checks.add_memory(address, 0xFF, expected),
                Reading::Memory32(address) => checks.add_memory(address, 0xFFFF_FFFF, expected),
                Reading::Call { getter, arguments, mask, least } => {
                    checks.calls.push(Call { getter, arguments, mask, least, expected });
                }
                Reading::Python => checks.asked.push(row),
            }
        }
        checks
    }

    /// The numbers are naturally aligned, so each lies in one aligned word.
    fn add_memory(&mut self, address: usize, mask: u64, expected: u64) {
        let shift = (address % 8) * 8;
        let address = (address - address % 8) as *const u64;
        let (mask, expected) = (mask << shift, expected << shift);
        match self.words.iter_mut().find(|word| word.address == address) {
            Some(word) => {
                word.mask |= mask;
                word.expected |= expected;
            }
            None => self.words.push(Word { address, mask, expected }),
        }
    }
}

/// A snapshot of torch's state, compared at every call.
#[pyclass(frozen, module = "framelift._native")]
pub struct TorchState {
    values: Box<[u64]>,
    checks: Checks,
    /// What stood on the mode stacks; None when nothing did, which the numbers say already.
    modes: Option<Py<PyTuple>>,
}

// SAFETY: the pointers are to memory of the process, read by threads that hold the GIL.
unsafe impl Send for TorchState {}
// SAFETY: as above.
unsafe impl Sync for TorchState {}

#[pymethods]
impl TorchState {
    /// The state of the calling thread now.
    #[staticmethod]
    fn capture(py: Python<'_>) -> PyResult<Self> {
        let readers = &calibrated()?.readers;
        let values = readers
            .readers
            .iter()
            .map(|reader| readers.read(&reader.reading, &reader.read, py))
            .collect::<PyResult<_>>()?;
        let modes = current_modes(py)?;
        let values: Box<[u64]> = values;
        let checks = Checks::new(&readers.readers, &values);
        Ok(Self { values, checks, modes: (!modes.is_empty()).then(|| modes.unbind()) })
    }

    /// Whether the state of the calling thread is the same.
    #[pyo3(name = "holds")]
    fn holds_for_python(&self) -> bool {
        self.holds()
    }

    /// What differs: `(name, expected, found)` for each.
    pub fn differences<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let readers = &calibrated()?.readers;
        let differences = PyList::empty(py);
        for (reader, &expected) in readers.readers.iter().zip(&self.values) {
            let found = readers.read(&reader.reading, &reader.read, py)?;
            if found != expected {
                differences.append((&reader.name, expected, found))?;
            }
        }
        let found = current_modes(py)?;
        let expected = match &self.modes {
            Some(modes) => modes.bind(py).clone(),
            None => PyTuple::empty(py),
        };
        if !found.eq(&expected)? {
            differences.append(("modes", expected, found))?;
        }
        Ok(differences)
    }

    /// The numbers by name.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let values = PyDict::new(py);
        for (reader, value) in calibrated()?.readers.readers.iter().zip(&self.values) {
            values.set_item(&reader.name, value)?;
        }
        Ok(values)
    }

    /// What stood on the mode stacks.
    #[getter]
    fn modes<'py>(&self, py: Python<'py>) -> Bound<'py, PyTuple> {
        self.modes.as_ref().map_or_else(|| PyTuple::empty(py), |modes| modes.bind(py).clone())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.modes {
            Some(modes) => visit.call(modes),
            None => Ok(()),
        }
    }
}

impl TorchState {
    /// Whether the state of the calling thread, which is attached, is the same.
    #[inline]
    pub fn holds(&self) -> bool {
        let Ok(calibration) = calibrated() else {
            return false;
        };
        let readers = &calibration.readers;
        let checks = &self.checks;
        let memory = readers.thread_memory();
        // SAFETY: what is read here was established at calibration: memory of the process for its life,
        // thread memory for that of the calling thread; getters neither throw nor keep anything.
        unsafe {
            checks.thread_keys.iter().all(|&(index, stored)| *memory.keys.add(index) == stored)
                && checks.thread_autograd.is_none_or(|(offset, modes)| *memory.autograd.add(offset) == modes)
                && checks.thread_functions.iter().all(|&(what, expected)| memory.read(what) == expected)
                && checks.words.iter().all(|word| *word.address & word.mask == word.expected)
                && checks.calls.iter().all(|call| {
                    let [first, second, third] = call.arguments;
                    ((call.getter)(first, second, third) & call.mask).max(call.least) == call.expected
                })
                && checks.asked.iter().all(|&row| Self::asked(&readers.readers[row], self.values[row]))
                && self.modes.as_ref().is_none_or(Self::same_modes)
        }
    }

    #[cold]
    fn asked(reader: &Reader, expected: u64) -> bool {
        Python::attach(|py| {
            let found = reader.read.bind(py).call0().and_then(|value| value.extract::<u64>());
            found.is_ok_and(|found| found == expected)
        })
    }

    #[cold]
    fn same_modes(expected: &Py<PyTuple>) -> bool {
        Python::attach(|py| current_modes(py).is_ok_and(|found| found.eq(expected).unwrap_or(false)))
    }
}
