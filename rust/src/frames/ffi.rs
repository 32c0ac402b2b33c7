//! The C side: `csrc/shim.c`, `csrc/decide.c`, `csrc/generator.c`, `csrc/resume.c` and
//! `csrc/step.c`, where each function says what it does.

use crate::objects::Object;
use pyo3::ffi::PyTypeObject;
use std::ffi::{c_int, c_void};
use std::sync::atomic::AtomicI32;

/// CPython's `_PyInterpreterFrame`.
#[repr(C)]
pub struct Frame {
    _private: [u8; 0],
}

/// `struct framelift_view`: a frame's places and sizes.
#[repr(C)]
pub struct View {
    pub slots: *mut Object,
    pub slot_count: i32,
    pub depth: i32,
    pub room: i32,
    pub unit_count: i32,
}

/// `struct instruction`, of which Rust reads where it stands.
#[repr(C)]
pub struct Instruction {
    kind: c_int,
    argument: c_int,
    flag: bool,
    jump: c_int,
    pub first: c_int,
    pub unit: c_int,
    next: c_int,
    keywords: c_int,
}

/// `struct step`.
#[repr(C)]
pub struct Step {
    pub next: c_int,
    pub value: Object,
}

/// `enum outcome`
pub const IN_CPYTHON: c_int = 0;
pub const GOES_ON: c_int = 1;
pub const RETURNED: c_int = 2;
pub const RAISED: c_int = 3;

/// `struct framelift_expected`: a call that is about to get its frame.
#[repr(C)]
pub struct Expected {
    pub function: Object,
    pub code: Object,
    pub arguments: *const Object,
    pub argument_count: isize,
    pub drive: unsafe extern "C" fn(*mut c_void, *mut Frame) -> Object,
    pub context: *mut c_void,
    pub outer: *mut Expected,
}

/// `struct framelift_arms`: who performs an instruction. Owned references or null.
#[repr(C)]
pub struct Arms {
    callable: Object,
    codes: Object,
}

impl Arms {
    /// To be written by `framelift_arm`.
    pub const NONE: Self = Self {
        callable: std::ptr::null_mut(),
        codes: std::ptr::null_mut(),
    };
}

/// Drives a fresh frame as a child of a callable: 1 with the result, or 0 if it is left to CPython.
pub type DriveChild = unsafe extern "C" fn(Object, *mut Frame, *mut Object) -> c_int;

unsafe extern "C" {
    /// Expected calls and armed threads.
    pub static framelift_waiting: AtomicI32;

    pub fn framelift_prepare_shim(drive: DriveChild) -> c_int;
    pub fn framelift_arm(callable: Object, codes: Object, before: *mut Arms);
    pub fn framelift_put_back(before: *mut Arms);
    pub fn framelift_exchange_decisions(decide: *mut Object, names: *mut Object);
    pub fn framelift_forget_decisions();
    pub fn framelift_edition() -> usize;
    pub fn framelift_expect_frame(call: *mut Expected);
    pub fn framelift_expected_in_vain(call: *mut Expected) -> c_int;

    pub fn framelift_prepare_generators(
        mark_type: *mut PyTypeObject,
        resume: unsafe extern "C" fn(Object, *mut Frame, *mut Object) -> c_int,
        end: unsafe extern "C" fn(Object),
    );
    pub fn framelift_adopt(object: Object, function: Object, code: Object, mark: Object) -> c_int;
    pub fn framelift_unit_to_start(frame: *mut Frame) -> c_int;
    pub fn framelift_suspended_one_more();
    pub fn framelift_suspended_one_less();

    pub fn framelift_view_frame(frame: *mut Frame, view: *mut View);
    pub fn framelift_set_depth(frame: *mut Frame, depth: c_int);
    pub fn framelift_link_frame(frame: *mut Frame);
    pub fn framelift_unlink_frame(frame: *mut Frame);
    pub fn framelift_point_at(frame: *mut Frame, unit: c_int);
    pub fn framelift_resume_frame(frame: *mut Frame, unit: c_int) -> Object;
    pub fn framelift_throw_into_frame(frame: *mut Frame, unit: c_int) -> Object;
    pub fn framelift_tell_raised(frame: *mut Frame, unit: c_int) -> c_int;
    pub fn framelift_tell_left();
    pub fn framelift_end_told(frame: *mut Frame, unit: c_int) -> Object;
    pub fn framelift_handled_exception(beyond: c_int) -> Object;
    pub fn framelift_set_handled_exception(exception: Object) -> Object;
    pub fn framelift_enter_handler(
        frame: *mut Frame,
        unit: c_int,
        again: c_int,
        told: c_int,
        is_cleanup: *mut c_int,
    ) -> c_int;
    pub fn framelift_is_kept(frame: *mut Frame) -> c_int;
    pub fn framelift_end_frame(frame: *mut Frame, value: Object) -> Object;
    pub fn framelift_enter_frame() -> c_int;
    pub fn framelift_leave_frame();
    pub fn framelift_is_observed(code: Object) -> c_int;
    pub fn framelift_offer_interruption() -> c_int;
    pub fn framelift_function_of(frame: *mut Frame) -> Object;
    pub fn framelift_code_of(frame: *mut Frame) -> Object;
    pub fn framelift_frame_of(frame_object: Object, unit: *mut c_int) -> *mut Frame;

    pub fn framelift_frame_at(code: Object, globals: Object, unit: c_int) -> Object;
    pub fn framelift_add_traceback_entry(frame_object: Object);
    pub fn framelift_same_handler(code: Object, unit: c_int, other: c_int) -> c_int;

    pub fn framelift_read_instruction(
        frame: *mut Frame,
        first: c_int,
        instruction: *mut Instruction,
    ) -> c_int;
    pub fn framelift_perform(frame: *mut Frame, instruction: *const Instruction, step: *mut Step) -> c_int;
}
