//! The driver: one call, from segment to break to segment, in the frame that CPython made for it.
//!
//! A segment ends with a return or before an instruction. There its exit program's result, a state, is
//! written into the frame, and the instruction is performed on it. At the next offset the entries of that
//! resume point are tried with the frame's state as arguments, and so on. What has no entry or no place in
//! the table of instructions is executed by CPython, which then finishes the call: always right, since it
//! enters frames in the middle for every generator, too. After an exception the next resume point is in its
//! handler; without a handler in the frame it is thrown into it, and CPython ends the frame.
//!
//! The frame is the thread's current one ("linked") from the first stop on. Before that nothing in it has
//! happened: the first segment runs as that of a call without a stop does.

use crate::boundary;
use crate::cache::{Entry, Plan, Stop};
use crate::callable::{self, Call, CompiledCallable, Found, Hit};
use crate::execute::{Place, Ran, run};
use crate::frames::arms::Armed;
use crate::frames::ffi::{
    Expected, Frame, GOES_ON, IN_CPYTHON, Instruction, RAISED, RETURNED, Step, View, framelift_code_of,
    framelift_end_frame, framelift_end_told, framelift_enter_frame, framelift_enter_handler,
    framelift_expect_frame, framelift_expected_in_vain, framelift_function_of, framelift_handled_exception,
    framelift_is_kept, framelift_is_observed, framelift_leave_frame, framelift_link_frame,
    framelift_offer_interruption, framelift_perform, framelift_point_at, framelift_read_instruction,
    framelift_resume_frame, framelift_same_handler, framelift_tell_left, framelift_tell_raised,
    framelift_throw_into_frame, framelift_unit_to_start, framelift_unlink_frame,
};
use crate::frames::generator::adopt;
use crate::frames::places::add_traceback_entry;
use crate::frames::state::{take_locals, take_operands, write};
use crate::layout::code_signature;
use crate::objects::{INLINE, Object, ObjectBuffer};
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Driven calls inside each other, on one thread. Each takes about three kilobytes of C stack, where CPython's own
/// calls of Python functions take none: deeper ones run in CPython, before the stack is at its end.
const DEEPEST: u32 = 256;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether frames of `code` may be driven now: none that somebody watches.
///
/// # Safety
/// The thread is attached; `code` is a code object.
pub unsafe fn may_drive(code: Object) -> bool {
    // SAFETY: the caller's promise.
    DEPTH.get() < DEEPEST && unsafe { framelift_is_observed(code) } == 0
}

/// What the shim's call back needs.
struct Context<'a, 'b> {
    callable: *mut CompiledCallable,
    hit: &'a mut Hit<'b>,
}

/// Calls the function, and drives its frame, beginning with the entry whose guards hold.
///
/// # Safety
/// As for a vectorcall of the callable; `arguments` are those of `call`, bound.
pub unsafe fn call_in_frame(
    this: *mut CompiledCallable,
    call: &Call,
    arguments: &[Object],
    hit: &mut Hit<'_>,
) -> Object {
    let mut context = Context { callable: this, hit };
    // SAFETY: the context lives until the call is over. CPython makes `*args` and `**kwargs` anew, so only the
    // named parameters tell the frame.
    unsafe {
        let named = (*this).named_parameters().min(arguments.len());
        let (result, came) =
            call_expecting(this, call, &arguments[..named], drive, (&raw mut context).cast());
        if !came {
            (*this).count_fallback();
        }
        result
    }
}

/// Calls the function, which CPython executes: only what it calls is driven.
///
/// # Safety
/// As for a vectorcall of the callable.
pub unsafe fn call_in_cpython(this: *mut CompiledCallable, call: &Call) -> Object {
    // SAFETY: the caller's promise.
    unsafe { call_expecting(this, call, &[], drive_nothing, this.cast()).0 }
}

/// Calls the function and lets `drive` have its frame. The result, and whether the frame came.
unsafe fn call_expecting(
    this: *mut CompiledCallable,
    call: &Call,
    arguments: &[Object],
    drive: unsafe extern "C" fn(*mut c_void, *mut Frame) -> Object,
    context: *mut c_void,
) -> (Object, bool) {
    // SAFETY: everything that is expected lives until the call is over.
    unsafe {
        let mut expected = Expected {
            function: (*this).function(),
            code: (*this).code(),
            arguments: arguments.as_ptr(),
            argument_count: arguments.len() as isize,
            drive,
            context,
            outer: null_mut(),
        };
        framelift_expect_frame(&raw mut expected);
        let result = callable::call_function(this, call);
        (result, framelift_expected_in_vain(&raw mut expected) == 0)
    }
}

unsafe extern "C" fn drive(context: *mut c_void, frame: *mut Frame) -> Object {
    boundary::raw(|| {
        // SAFETY: the shim gives back the context of `call_in_frame`, which waits for this to return.
        unsafe {
            let context = &mut *context.cast::<Context<'_, '_>>();
            let driver = Driver::new(context.callable, frame);
            driver.run(|driver| {
                let next = driver.first_segment(context.hit);
                // Or the objects would stay alive until the call is over.
                context.hit.release_slots();
                next
            })
        }
    })
}

unsafe extern "C" fn drive_nothing(callable: *mut c_void, frame: *mut Frame) -> Object {
    // SAFETY: the shim gives back the callable, which is being called.
    boundary::raw(|| unsafe { Driver::new(callable.cast(), frame).run(|_| Next::Resume(0)) })
}

/// A fresh frame has come while `parent` performs an instruction: drives it as that of a child, if there is one.
/// 1 with the result of the call, null for an exception; or 0, and nothing has happened.
pub unsafe extern "C" fn drive_child(parent: Object, frame: *mut Frame, result: *mut Object) -> c_int {
    // SAFETY: the shim gives a compiled callable, which it holds, and a frame of a Python function.
    unsafe {
        let (function, code) = (framelift_function_of(frame), framelift_code_of(frame));
        let parent = parent.cast::<CompiledCallable>();
        if (*parent).child_for().is_null() || !may_drive(code) {
            return 0;
        }
        let first = first_argument(frame, code);
        let child = callable::child_of(parent, function, code, first);
        if child.is_null() {
            return 0;
        }
        let this = child.cast::<CompiledCallable>();
        let drives = (*this).takes_function() && (*this).is_on();
        if drives {
            callable::use_code(this, code);
            *result = boundary::raw(|| {
                if (*this).suspends() {
                    let function = ffi::Py_NewRef(function);
                    let made = adopt(this, function, framelift_resume_frame(frame, 0));
                    ffi::Py_DECREF(function);
                    made
                } else {
                    Driver::new(this, frame).run(|driver| driver.segment(0))
                }
            });
        }
        ffi::Py_DECREF(child);
        c_int::from(drives)
    }
}

/// The first positional argument, borrowed; None where there is none.
unsafe fn first_argument(frame: *mut Frame, code: Object) -> Object {
    // SAFETY: the caller gives a fresh frame of this code: its parameters are bound.
    unsafe {
        let argument = if code_signature(code).positional > 0 {
            *View::of(frame).slots
        } else {
            null_mut()
        };
        if argument.is_null() {
            ffi::Py_None()
        } else {
            argument
        }
    }
}

/// What became of a suspended frame that goes on.
pub enum Resumed {
    /// It is for CPython, as it was.
    LeftAlone,
    /// It has yielded or returned this, an owned reference; or raised, null.
    Driven(Object),
    /// An exception is set, which is to be thrown into it.
    ThrownInto,
}

/// Drives the frame of a generator, a call of `function`, from where it was suspended.
///
/// # Safety
/// The callable and the function are held; the frame is a suspended one that has just been given to the shim.
pub unsafe fn resume(callable: *mut CompiledCallable, function: Object, frame: *mut Frame) -> Resumed {
    // SAFETY: the caller's promises.
    unsafe {
        if !(*callable).is_on() {
            return Resumed::LeftAlone;
        }
        let code = framelift_code_of(frame);
        // What its caller handles is no part of the generator's state, and entries do not tell the two apart.
        let beyond = !framelift_handled_exception(1).is_null();
        if !(*callable).is_code(code) || !may_drive(code) || beyond {
            (*callable).count_fallback();
            return Resumed::LeftAlone;
        }
        let mut driver = Driver::new(callable, frame);
        driver.function = function;
        driver.resume()
    }
}

/// What comes next. Places are code units.
enum Next {
    /// Perform the instruction there.
    Break(c_int),
    /// Look for a segment there.
    Segment(c_int),
    /// CPython goes on there.
    Resume(c_int),
    /// The same, as a graph has raised: what is called from there is repeated, too.
    Repeat(c_int),
    /// The instruction there has raised.
    Throw(c_int),
    /// The same, with an exception whose traceback has an entry for the frame already.
    ThrowAgain(c_int),
    /// The call is over and returns this, an owned reference.
    Return(Object),
}

struct Driver {
    callable: *mut CompiledCallable,
    frame: *mut Frame,
    linked: bool,
    /// Of which function the frame is a call; borrowed.
    function: Object,
    /// The codes of the callees in which the next instruction can't be captured: an owned tuple, or null.
    codes: Object,
    /// In a handler of the compiler's own, up to where it raises the exception again: not worth a segment.
    tidying: bool,
}

impl Driver {
    fn new(callable: *mut CompiledCallable, frame: *mut Frame) -> Self {
        Self {
            callable,
            frame,
            linked: false,
            // SAFETY: the caller gives a live frame, which holds its function.
            function: unsafe { framelift_function_of(frame) },
            codes: null_mut(),
            tidying: false,
        }
    }

    /// The whole call.
    unsafe fn run(mut self, first: impl FnOnce(&mut Self) -> Next) -> Object {
        // SAFETY: the frame is fresh and ours; each of the ends below gives it away.
        unsafe {
            if framelift_enter_frame() != 0 {
                return framelift_end_frame(self.frame, null_mut());
            }
            DEPTH.set(DEPTH.get() + 1);
            let next = first(&mut self);
            self.finish(next)
        }
    }

    /// From one suspension to the next.
    unsafe fn resume(mut self) -> Resumed {
        // SAFETY: as for `run`; the frame's state is that in which it was suspended, with what was sent.
        unsafe {
            if framelift_enter_frame() != 0 {
                ffi::PyErr_Clear(); // CPython raises it in its own place
                return Resumed::LeftAlone;
            }
            DEPTH.set(DEPTH.get() + 1);
            framelift_link_frame(self.frame);
            self.linked = true;
            if framelift_offer_interruption() != 0 {
                self.leave();
                return Resumed::ThrownInto;
            }
            let unit = framelift_unit_to_start(self.frame);
            framelift_point_at(self.frame, unit);
            let next = self.segment(unit);
            Resumed::Driven(self.finish(next))
        }
    }

    /// Goes on until the frame is given away: it is over, or CPython has it.
    unsafe fn finish(mut self, mut next: Next) -> Object {
        // SAFETY: the frame is ours; each of the ends below gives it away.
        unsafe {
            loop {
                next = match next {
                    Next::Break(unit) => self.perform(unit),
                    Next::Segment(unit) => self.segment(unit),
                    Next::Resume(unit) | Next::Repeat(unit) => {
                        let arms = matches!(next, Next::Resume(_)) && !self.is_observed();
                        let _armed = if arms { self.arm() } else { None };
                        self.leave();
                        return framelift_resume_frame(self.frame, unit);
                    }
                    Next::Throw(unit) | Next::ThrowAgain(unit) => {
                        let again = matches!(next, Next::ThrowAgain(_));
                        let told = !again && self.tell_raised(unit);
                        if let Some(next) = self.handler(unit, again, told) {
                            next
                        } else if told {
                            framelift_tell_left();
                            self.leave();
                            return framelift_end_told(self.frame, unit);
                        } else {
                            self.leave();
                            return framelift_throw_into_frame(self.frame, unit);
                        }
                    }
                    Next::Return(value) => {
                        take_operands(self.frame).release();
                        self.leave();
                        return framelift_end_frame(self.frame, value);
                    }
                }
            }
        }
    }

    /// The frame is given away: from here on it is counted and linked by whoever has it.
    unsafe fn leave(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        // SAFETY: pairs with `run` and `write_state`.
        unsafe {
            ffi::Py_XDECREF(std::mem::replace(&mut self.codes, null_mut()));
            framelift_leave_frame();
            if self.linked {
                framelift_unlink_frame(self.frame);
            }
        }
    }

    unsafe fn first_segment(&mut self, hit: &Hit<'_>) -> Next {
        // SAFETY: a live frame.
        let fits = unsafe { self.fits(hit.entry) };
        if !fits {
            // SAFETY: the callable is alive while it is called.
            unsafe { (*self.callable).count_fallback() };
            return Next::Resume(0);
        }
        // SAFETY: the guards of the hit hold.
        unsafe { self.run_segment(hit, 0) }
    }

    /// Whether the state that the entry ends with is one of this frame.
    unsafe fn fits(&self, entry: &Entry) -> bool {
        // SAFETY: a live frame.
        entry
            .stop()
            .is_none_or(|stop| unsafe { View::of(self.frame) }.fits(stop))
    }

    /// Runs an entry that starts at `unit` and whose guards hold.
    unsafe fn run_segment(&mut self, hit: &Hit<'_>, unit: c_int) -> Next {
        let Some(plan) = &hit.entry.plan else {
            // SAFETY: the callable is alive while it is called.
            unsafe { (*self.callable).count_fallback() };
            return Next::Resume(unit);
        };
        // SAFETY: the slots of a hit are alive; the entry and its codes, too.
        unsafe { self.name_codes(plan) };
        // SAFETY: as above.
        match unsafe { run(plan, hit.slots) } {
            Ran::Done(result) if result.is_null() => Next::Throw(unit),
            Ran::Done(result) => match plan.stop {
                None => {
                    // SAFETY: the frame is over, as far as the program is concerned.
                    unsafe {
                        if framelift_is_kept(self.frame) != 0 {
                            take_locals(self.frame, &plan.outdated).release();
                        }
                    }
                    Next::Return(result)
                }
                // SAFETY: `fits` was asked, and the entry was made for a tuple of this length.
                Some(stop) => unsafe { self.write_state(stop, result) },
            },
            Ran::Replay => {
                // SAFETY: an exception is set.
                unsafe { callable::report_graph_error(self.callable, hit) };
                Next::Repeat(unit)
            }
            // SAFETY: an exception is set, and the frame is as it was at `unit`.
            Ran::Thrown(place) => unsafe { self.thrown(unit, &place) },
        }
    }

    /// The graph of the segment that begins at `unit` has raised, at `place`. What the program had done up to there
    /// is not in the frame, so nothing may handle it that could not have handled it at the beginning.
    unsafe fn thrown(&mut self, unit: c_int, place: &Place) -> Next {
        let first = (place.offset / 2) as c_int;
        let mut instruction = MaybeUninit::<Instruction>::uninit();
        // SAFETY: a live frame; an exception is set, which reading an instruction leaves alone if it succeeds.
        unsafe {
            let code = framelift_code_of(self.frame);
            if framelift_same_handler(code, unit, first) == 0 {
                add_traceback_entry(place.frame);
                return Next::Throw(0);
            }
            ffi::Py_DECREF(place.frame);
            if framelift_read_instruction(self.frame, first, instruction.as_mut_ptr()) != 0 {
                return Next::Throw(unit);
            }
            Next::Throw(instruction.assume_init().unit)
        }
    }

    /// What the entry knows of the instruction before which it stops.
    unsafe fn name_codes(&mut self, plan: &Plan) {
        let codes = plan.codes.as_ref().map_or(null_mut(), Py::as_ptr);
        if codes != self.codes {
            // SAFETY: attached; the entry holds its tuple, and the old one is ours.
            unsafe {
                let old = std::mem::replace(&mut self.codes, ffi::Py_XNewRef(codes));
                ffi::Py_XDECREF(old);
            }
        }
    }

    /// The segment has stopped: its result, taken over, becomes the state of the frame.
    unsafe fn write_state(&mut self, stop: Stop, values: Object) -> Next {
        let unit = (stop.offset / 2) as c_int;
        // SAFETY: the caller's promise.
        unsafe {
            let released = write(self.frame, stop, values);
            framelift_point_at(self.frame, unit);
            if !self.linked {
                framelift_link_frame(self.frame);
                self.linked = true;
            }
            ffi::Py_DECREF(values);
            released.release();
        }
        Next::Break(unit)
    }

    /// The break: one instruction on the frame's own state.
    unsafe fn perform(&mut self, unit: c_int) -> Next {
        let mut instruction = MaybeUninit::<Instruction>::uninit();
        let mut step = Step {
            next: 0,
            value: null_mut(),
        };
        // SAFETY: the frame is linked and its state is that of the instruction at `unit`.
        unsafe {
            if framelift_read_instruction(self.frame, unit, instruction.as_mut_ptr()) != 0 {
                return Next::Throw(unit);
            }
            let instruction = instruction.assume_init();
            let outcome = {
                let _armed = self.arm();
                framelift_perform(self.frame, &raw const instruction, &raw mut step)
            };
            match outcome {
                IN_CPYTHON => Next::Resume(instruction.first),
                GOES_ON => self.after(&instruction, step.next),
                RETURNED => Next::Return(step.value),
                RAISED => Next::Throw(instruction.unit),
                _ => Next::ThrowAgain(instruction.unit),
            }
        }
    }

    /// What the instruction enters comes to `drive_child`, if there is somebody to ask for children.
    unsafe fn arm(&self) -> Option<Armed> {
        // SAFETY: the callable is alive while it is called; the codes are ours.
        unsafe {
            let asks = !(*self.callable).child_for().is_null() && (*self.callable).is_on();
            asks.then(|| Armed::new(self.callable.cast(), self.codes))
        }
    }

    /// The instruction is done and the next one is at `next`.
    unsafe fn after(&mut self, instruction: &Instruction, next: c_int) -> Next {
        // SAFETY: the frame is linked; the callable is alive while it is called.
        unsafe {
            if next <= instruction.first && framelift_offer_interruption() != 0 {
                return Next::Throw(instruction.unit);
            }
            framelift_point_at(self.frame, next);
            self.go_on(next)
        }
    }

    /// The frame's state is that of the instruction at `unit`.
    unsafe fn go_on(&self, unit: c_int) -> Next {
        // SAFETY: the callable is alive while it is called.
        let is_on = unsafe { (*self.callable).is_on() && !self.is_observed() };
        match (is_on, self.tidying) {
            (false, _) => Next::Resume(unit),
            (true, false) => Next::Segment(unit),
            (true, true) => Next::Break(unit),
        }
    }

    unsafe fn is_observed(&self) -> bool {
        // SAFETY: as above.
        unsafe { framelift_is_observed((*self.callable).code()) != 0 }
    }

    /// Tells who watches of the exception that is set, raised at `unit`: CPython's loop, into which it is thrown
    /// otherwise, would tell them of a call. Returns whether that is done.
    unsafe fn tell_raised(&self, unit: c_int) -> bool {
        // SAFETY: only a linked frame has executed anything.
        unsafe { self.linked && self.is_observed() && framelift_tell_raised(self.frame, unit) != 0 }
    }

    /// Brings the exception that is set, raised at `unit`, to its handler in the frame. Nothing has happened where
    /// there is no handler. Somebody who watches must have been told.
    unsafe fn handler(&mut self, unit: c_int, again: bool, told: bool) -> Option<Next> {
        let mut is_cleanup = 0;
        // SAFETY: only a linked frame has executed anything that has a handler.
        unsafe {
            if !self.linked || (self.is_observed() && !again && !told) {
                return None;
            }
            let has_entry = c_int::from(again || told);
            let next = framelift_enter_handler(
                self.frame,
                unit,
                has_entry,
                c_int::from(told),
                &raw mut is_cleanup,
            );
            self.tidying = is_cleanup != 0;
            if told && next >= 0 && !ffi::PyErr_Occurred().is_null() {
                return Some(Next::Throw(next));
            }
            (next >= 0).then(|| self.go_on(next))
        }
    }

    /// Tries the entries of the resume point at `unit`.
    unsafe fn segment(&mut self, unit: c_int) -> Next {
        let mut room = ObjectBuffer::<INLINE>::new();
        // SAFETY: the frame holds its objects while the entries are tried, and is linked.
        unsafe {
            let view = View::of(self.frame);
            let callable = self.callable;
            // A fresh frame is the call: its bound arguments.
            let count = if unit == 0 {
                (*callable).argument_count()
            } else {
                view.used()
            };
            let function = (*callable).takes_function();
            let state = room.nulls(count + usize::from(function));
            view.read(&mut state[..count]);
            if function {
                state[count] = self.function;
            }
            let found = callable::find_entry(callable, unit as u32 * 2, state, &mut |hit| {
                if self.fits(hit.entry) {
                    self.run_segment(hit, unit)
                } else {
                    Next::Resume(unit)
                }
            });
            match found {
                Found::Ran(next) => next,
                Found::Nothing => Next::Resume(unit),
                Found::Raised => Next::Throw(unit),
            }
        }
    }
}
