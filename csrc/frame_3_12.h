/* Frames of CPython 3.12. See frame.h for what each function promises.
 *
 * The pointer is `prev_instr`, as in 3.11. Calls with keywords are spelled KW_NAMES, CALL; the first leaves the
 * names outside the frame, so the two are one instruction here, started at the first.
 */

static inline PyCodeObject *
frame_code(Frame *frame)
{
    return frame->f_code;
}

static inline Frame **
current_frame(PyThreadState *thread)
{
    return &thread->cframe->current_frame;
}

static inline bool
is_fresh(Frame *frame)
{
    return frame->owner == FRAME_OWNED_BY_THREAD
        && frame->prev_instr == _PyCode_CODE(frame->f_code) - 1;
}

static inline int
unit_to_start(Frame *frame)
{
    return (int)(frame->prev_instr + 1 - _PyCode_CODE(frame->f_code));
}

static inline void
point_at_start(Frame *frame, int unit)
{
    frame->prev_instr = _PyCode_CODE(frame->f_code) + unit - 1;
}

static inline void
point_at_running(Frame *frame, int unit)
{
    frame->prev_instr = _PyCode_CODE(frame->f_code) + unit;
}

static inline void
point_at_raised(Frame *frame, int unit)
{
    frame->prev_instr = _PyCode_CODE(frame->f_code) + unit;
}

/* The code's second unit is executed next. */
static inline void
point_at_foreign(Frame *frame, _Py_CODEUNIT *code)
{
    frame->prev_instr = code;
}

static inline bool
can_raise_at(PyCodeObject *code, const struct instruction *instruction)
{
    (void)code;
    (void)instruction;
    return true;
}

static inline bool
interruption_waits(PyThreadState *thread)
{
    return _Py_atomic_load_relaxed(&thread->interp->ceval.eval_breaker) != 0;
}

static inline bool
another_thread_waits(PyThreadState *thread)
{
    return _Py_atomic_load_relaxed(&thread->interp->ceval.gil_drop_request) != 0;
}

/* Operands of a call: [NULL, callable] or [method, object], and the arguments. */
static inline PyObject *
callee_at(PyObject **bottom)
{
    return bottom[0] == NULL ? bottom[1] : bottom[0];
}

static inline PyObject *
object_at(PyObject **bottom)
{
    return bottom[0] == NULL ? NULL : bottom[1];
}

static inline void
put_method(PyObject **bottom, PyObject *method, PyObject *object)
{
    bottom[0] = method;
    bottom[1] = object;
}

static inline void
put_global(PyObject **bottom, PyObject *value)
{
    bottom[0] = NULL;
    bottom[1] = value;
}

#include "frame_since_3_12.h"

static inline bool
holds_keywords(int opcode, int following)
{
    (void)following;
    return opcode == KW_NAMES;
}

static inline void
spell(int opcode, int argument, struct instruction *to)
{
    switch (opcode) {
    case LOAD_CLOSURE: IS(CELL);
    case MAKE_FUNCTION: IS(NEW_FUNCTION);
    case COMPARE_OP: argument >>= 4; IS(COMPARE);
    case FORMAT_VALUE: to->flag = argument & 4; argument &= 3; IS(CONVERT_AND_FORMAT);
    case FOR_ITER: JUMPS(NEXT_OR_JUMP, argument + 1);   /* not to the END_FOR there, but behind it */
    default: spell_common(opcode, argument, to);
    }
}
#undef IS
#undef JUMPS
