//! How each number of torch's state is read, in the fastest way that is established for it: a word of
//! thread-local memory, a byte of torch's global context, a call of a C++ getter that cannot throw, or a
//! call of a Python function. A native way is taken only when it agrees with Python at calibration.

use super::symbols::Libraries;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::cell::Cell;

/// A C++ function that takes up to three words.
pub type Getter = unsafe extern "C" fn(usize, usize, usize) -> u64;

/// One way to read a number.
pub enum Reading {
    /// Word `index` of the thread's dispatch key sets, and what its default is stored as.
    ThreadKeys {
        index: usize,
        default: u64,
    },
    /// A byte of the thread's `AutogradState`.
    ThreadAutograd {
        offset: usize,
    },
    /// A field of the thread's `PythonTorchFunctionTLS`.
    ThreadFunctions(FunctionModes),
    /// Bytes at a fixed address.
    Memory8(usize),
    Memory32(usize),
    Call {
        getter: Getter,
        arguments: [usize; 3],
        mask: u64,
        least: u64,
    },
    Python,
}

/// What is read of the function modes of a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FunctionModes {
    /// Whether torch functions are overridden: the first field.
    Disabled,
    /// The number of modes: the length of a vector of shared pointers, the third field.
    Depth,
}

/// A row of the table.
pub struct Reader {
    /// The name of the row.
    pub name: String,
    /// How it is read.
    pub reading: Reading,
    /// How Python reads it.
    pub ask: Py<PyAny>,
}

/// `TorchFunctionDisabledState` when neither modes nor subclasses are asked.
pub const ALL_DISABLED: u32 = 2;

/// All rows.
pub struct Readers {
    /// In the order of the table.
    pub rows: Vec<Reader>,
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
pub struct ThreadMemory {
    /// Two words: included and excluded dispatch keys.
    pub keys: *const u64,
    /// The `AutogradState`.
    pub autograd: *const u8,
    functions: *const u64,
}

impl ThreadMemory {
    /// # Safety
    /// The place of the function modes is established, and this is the memory of the calling thread.
    #[inline]
    pub unsafe fn read(self, what: FunctionModes) -> u64 {
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
        let context = libraries
            .address("_ZN2at13globalContextEv")
            .map(|address| unsafe { std::mem::transmute::<usize, extern "C" fn() -> usize>(address)() });
        let mut found = Self {
            rows: Vec::new(),
            libraries: libraries.clone(),
            autograd: None,
            functions: None,
        };
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
                    let what = if arguments == [0] {
                        FunctionModes::Disabled
                    } else {
                        FunctionModes::Depth
                    };
                    let direct = found.functions.map(|_| Reading::ThreadFunctions(what));
                    let call = candidates(address, "function", context, &[], width, told);
                    direct.into_iter().chain(call).collect()
                }
                Some(address) => candidates(address, &receiver, context, &arguments, width, told),
                None => Vec::new(),
            };
            let reading = candidates
                .into_iter()
                .find(|reading| {
                    found
                        .read(reading, &read, row.py())
                        .is_ok_and(|value| value == told)
                })
                .unwrap_or(Reading::Python);
            found.rows.push(Reader {
                name,
                reading,
                ask: read,
            });
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
    pub fn verify_function_modes(
        &mut self,
        change: &Bound<'_, PyAny>,
        restore: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let Some(address) = self
            .libraries
            .address("_ZN2at4impl22PythonTorchFunctionTLS9get_stateEv")
        else {
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
            (
                memory.read(FunctionModes::Disabled),
                memory.read(FunctionModes::Depth),
            )
        };
        let before = fields();
        change.call0()?;
        let changed = fields();
        restore.call0()?;
        if before == (0, 0) && changed == (u64::from(ALL_DISABLED), 1) && fields() == before {
            // SAFETY: as above.
            self.functions = Some(unsafe { std::mem::transmute::<usize, FunctionState>(address) });
            MEMORY.with(|memory| memory.set(self.find_thread_memory()));
        }
        Ok(())
    }

    /// How each row is read, by name.
    pub fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = PyDict::new(py);
        for reader in &self.rows {
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
    pub fn thread_memory(&self) -> ThreadMemory {
        MEMORY.with(|memory| {
            if memory.get().keys.is_null() {
                memory.set(self.find_thread_memory());
            }
            memory.get()
        })
    }

    /// The field of the calling thread that says which overrides of torch functions are off.
    pub fn disabled_functions(&self) -> Option<*mut u32> {
        self.functions
            .map(|_| self.thread_memory().functions.cast::<u32>().cast_mut())
    }

    #[cold]
    fn find_thread_memory(&self) -> ThreadMemory {
        let keys = self.libraries.address(THREAD_KEYS).unwrap_or(0) as *const u64;
        let mut room = [0; 32];
        // SAFETY: torch's function, which gives the address of this thread's state.
        let autograd = self.autograd.map_or(0, |state| unsafe { state(&raw mut room) });
        // SAFETY: torch's function, which gives the address of this thread's function modes.
        let functions = self.functions.map_or(0, |state| unsafe { state() });
        ThreadMemory {
            keys,
            autograd: autograd as *const u8,
            functions: functions as *const u64,
        }
    }

    /// The number, when reading it needs no Python.
    #[inline]
    fn read_natively(&self, reading: &Reading) -> Option<u64> {
        // SAFETY: addresses and functions were established at calibration; they stay for the life of the
        // process, thread memory for that of the thread, which is the calling one.
        unsafe {
            Some(match *reading {
                Reading::ThreadKeys { index, default } => *self.thread_memory().keys.add(index) ^ default,
                Reading::ThreadAutograd { offset } => u64::from(*self.thread_memory().autograd.add(offset)),
                Reading::ThreadFunctions(what) => self.thread_memory().read(what),
                Reading::Memory8(address) => u64::from(*(address as *const u8)),
                Reading::Memory32(address) => u64::from(*(address as *const u32)),
                Reading::Call {
                    getter,
                    arguments: [first, second, third],
                    mask,
                    least,
                } => (getter(first, second, third) & mask).max(least),
                Reading::Python => return None,
            })
        }
    }

    pub fn read(&self, reading: &Reading, read: &Py<PyAny>, py: Python<'_>) -> PyResult<u64> {
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
            vec![Reading::ThreadKeys {
                index,
                default: raw ^ told,
            }]
        }
        // 0 says "as the level above has it", which is what 1 says explicitly.
        ("precision", Some(context)) => {
            let arguments = [context, argument(0), argument(1)];
            vec![Reading::Call {
                getter: getter(),
                arguments,
                mask,
                least: 1,
            }]
        }
        ("context", Some(context)) => {
            let arguments = [context, argument(0), argument(1)];
            let call = Reading::Call {
                getter: getter(),
                arguments,
                mask,
                least: 0,
            };
            // SAFETY: the address of a function of torch.
            let load = unsafe { only_loads(address, Some(context)) };
            load.into_iter().chain([call]).collect()
        }
        ("variable", _) => vec![if width == 8 {
            Reading::Memory8(address)
        } else {
            Reading::Memory32(address)
        }],
        ("function", _) => {
            let given = [argument(0), argument(1), argument(2)];
            let call = Reading::Call {
                getter: getter(),
                arguments: given,
                mask,
                least: 0,
            };
            // SAFETY: the address of a function of torch.
            let load = unsafe { only_loads(address, None) }.filter(|_| arguments.is_empty());
            load.into_iter().chain([call]).collect()
        }
        _ => Vec::new(),
    }
}

/// The memory that a getter reads when its machine code is one load, from its receiver if it has one or from
/// a variable, and a return: those eight bytes are its whole meaning, so reading the memory is the same as
/// calling it.
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
