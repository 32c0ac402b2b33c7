//! Functions and variables of libraries that the process has loaded already.

use std::ffi::{CString, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_LAZY: c_int = 1;
const RTLD_NOLOAD: c_int = 4;

/// Handles of loaded libraries; they are never closed.
#[derive(Clone)]
pub struct Libraries {
    handles: Vec<usize>,
}

impl Libraries {
    /// Those of `paths` that are loaded. Nothing is loaded here.
    pub fn loaded(paths: &[String]) -> Self {
        let handles = paths
            .iter()
            .filter_map(|path| CString::new(path.as_str()).ok())
            // SAFETY: a C string; with NOLOAD no initialiser runs.
            .map(|path| unsafe { dlopen(path.as_ptr(), RTLD_LAZY | RTLD_NOLOAD) } as usize)
            .filter(|&handle| handle != 0)
            .collect();
        Self { handles }
    }

    /// The address of a symbol. For a thread-local variable: that of the calling thread.
    pub fn address(&self, name: &str) -> Option<usize> {
        let name = CString::new(name).ok()?;
        self.handles
            .iter()
            // SAFETY: a handle that `dlopen` gave, and a C string.
            .map(|&handle| unsafe { dlsym(handle as *mut c_void, name.as_ptr()) } as usize)
            .find(|&address| address != 0)
    }
}
