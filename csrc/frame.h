/* A frame of CPython, seen from outside its interpreter loop.
 *
 * A compiled function runs in the frame that CPython made for its call. The segments between its breaks
 * leave their results in that frame: locals and operands are written into it, and then either one
 * instruction is performed (step.c) or CPython's own loop is entered in the middle of the frame, as it is
 * for every generator. Nothing is rewritten, so tracebacks, sys._getframe() and debuggers see the user's
 * function at the user's line.
 *
 * Where CPython keeps what, and which code unit its pointer names while an instruction starts, runs or
 * raises, differs from version to version. Each version has one file with the same functions, included
 * here; nothing else in csrc/ knows of versions:
 *
 *   frame_code, frame_function       the frame's code object and function, borrowed
 *   set_frame_function(function)     puts another there; both references change hands
 *   current_frame                    the place that names the thread's innermost frame
 *   is_fresh                         the frame has not executed anything
 *   unit_to_start                    the instruction that a suspended frame goes on with
 *   point_at_start(unit)             CPython goes on with the instruction at `unit`
 *   point_at_running(unit)           the instruction at `unit` is being executed: f_lasti, f_lineno
 *   point_at_raised(unit)            the instruction at `unit` has raised: which handler is next
 *   can_raise_at(instruction)        CPython can be told so with the right line and the right handler
 *   enter_depth, leave_depth         count a driven frame as CPython counts its own
 *   is_deep                          more frames are inside each other than should each take C stack
 *   is_observed                      a tracer, a profiler or a monitor sees what this frame does
 *   interruption_waits               a signal, another thread, or an asynchronous exception
 *   another_thread_waits             the second of these
 *   reserve_, get_, set_code_word    a word of our own in every code object
 *   callee_at, object_at             what lies below the arguments of a call
 *   put_global                       what goes there
 *   hush_throw                       nobody is told that the exception is thrown in, only that it is raised
 *   take_raised, raise_again         the exception that is set, as an object
 *   end                              the frame is over: leaves it to CPython or clears it
 *   holds_keywords                   an opcode, by the one behind it, names a call's keywords and belongs to it
 *   spell                            what an opcode means: see instruction.h
 *
 * A "unit" is an index into the code, as CPython counts: an instruction has one and its caches more.
 */
#ifndef FRAMELIFT_FRAME_H
#define FRAMELIFT_FRAME_H

#define Py_BUILD_CORE 1
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "internal/pycore_frame.h"
#include "internal/pycore_code.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_object.h"
#include "internal/pycore_pystate.h"
#include "opcode.h"

#include "instruction.h"

typedef _PyInterpreterFrame Frame;

/* Each takes half a kilobyte of C stack or more when its call goes through the shim. */
#define DEEP 1000

/* One entry of an exception table: the handler of the units from `start` up to before `end`. */
struct handler {
    int start;
    int end;
    int unit;
    int depth;                  /* operands that stay */
    bool with_unit;             /* the unit that raised is pushed below the exception */
};

/* One number of an exception table, most significant bits first, six a byte. */
static inline int
table_number(const unsigned char **place)
{
    int number = **place & 63;

    while (*(*place)++ & 64) {
        number = number << 6 | (**place & 63);
    }
    return number;
}

/* Reads the entry at *place, which is then behind it; false at the end of the table. */
static inline bool
next_handler(PyCodeObject *code, const unsigned char **place, struct handler *handler)
{
    const unsigned char *first = (const unsigned char *)PyBytes_AS_STRING(code->co_exceptiontable);
    int depth;

    if (*place == NULL) {
        *place = first;
    }
    if (*place >= first + PyBytes_GET_SIZE(code->co_exceptiontable)) {
        return false;
    }
    handler->start = table_number(place);
    handler->end = handler->start + table_number(place);
    handler->unit = table_number(place);
    depth = table_number(place);
    handler->depth = depth >> 1;
    handler->with_unit = depth & 1;
    return true;
}

/* Whether an exception of the instruction at `unit` has a handler in the code, and which. */
static inline bool
find_handler(PyCodeObject *code, int unit, struct handler *handler)
{
    const unsigned char *place = NULL;

    while (next_handler(code, &place, handler)) {
        if (handler->start <= unit && unit < handler->end) {
            return true;
        }
    }
    return false;
}

#if PY_VERSION_HEX >= 0x030E0000
#error "framelift knows the frames of CPython 3.11 to 3.13"
#elif PY_VERSION_HEX >= 0x030D0000
#include "frame_3_13.h"
#elif PY_VERSION_HEX >= 0x030C0000
#include "frame_3_12.h"
#else
#include "frame_3_11.h"
#endif

/* The place above the highest operand. */
static inline PyObject **
frame_top(Frame *frame)
{
    return frame->localsplus + frame->stacktop;
}

static inline void
set_frame_top(Frame *frame, PyObject **top)
{
    frame->stacktop = (int)(top - frame->localsplus);
}

/* While an instruction is performed its operands change hands. The garbage collector, which visits the frames
 * of generators, then takes none of its objects for the frame's, as when CPython executes it. */
static inline void
hide_objects(Frame *frame)
{
    frame->stacktop = -1;
}

#endif
