/* Frames of CPython 3.13. See frame.h for what each function promises.
 *
 * The pointer is `instr_ptr`: the unit that is executed, or about to be. An exception is looked at with the
 * pointer behind the instruction: the handler is that of the unit before it, while the line is its own. Behind
 * an instruction with caches is a cache, which has the same line and handler. One without is pointed at itself,
 * which is right when no handler begins or ends there; otherwise CPython must execute it.
 */

#include "internal/pycore_ceval.h"

static inline PyCodeObject *
frame_code(Frame *frame)
{
    return _PyFrame_GetCode(frame);
}

static inline Frame **
current_frame(PyThreadState *thread)
{
    return &thread->current_frame;
}

static inline bool
is_fresh(Frame *frame)
{
    return frame->owner == FRAME_OWNED_BY_THREAD && PyCode_Check(frame->f_executable)
        && frame->instr_ptr == _PyCode_CODE(frame_code(frame));
}

static inline int
unit_to_start(Frame *frame)
{
    return (int)(frame->instr_ptr - _PyCode_CODE(frame_code(frame)));
}

static inline void
point_at_start(Frame *frame, int unit)
{
    frame->instr_ptr = _PyCode_CODE(frame_code(frame)) + unit;
}

static inline void
point_at_running(Frame *frame, int unit)
{
    frame->instr_ptr = _PyCode_CODE(frame_code(frame)) + unit;
}

/* Whether the handlers of `unit` are not those of the unit before it. */
static bool
handlers_change_at(PyCodeObject *code, int unit)
{
    const unsigned char *place = NULL;
    struct handler handler;

    while (next_handler(code, &place, &handler)) {
        if (handler.start == unit || handler.end == unit) {
            return true;
        }
    }
    return false;
}

static inline bool
can_raise_at(PyCodeObject *code, const struct instruction *instruction)
{
    return instruction->next > instruction->unit + 1 || instruction->kind == NO_OPERATION
        || !handlers_change_at(code, instruction->unit);
}

static inline void
point_at_raised(Frame *frame, int unit)
{
    PyCodeObject *code = frame_code(frame);

    frame->instr_ptr = _PyCode_CODE(code) + (handlers_change_at(code, unit) ? unit + 1 : unit);
}

/* The code's second unit is executed next. */
static inline void
point_at_foreign(Frame *frame, _Py_CODEUNIT *code)
{
    frame->instr_ptr = code + 1;
}

static inline bool
interruption_waits(PyThreadState *thread)
{
    return (_Py_atomic_load_uintptr_relaxed(&thread->eval_breaker) & _PY_EVAL_EVENTS_MASK) != 0;
}

static inline bool
another_thread_waits(PyThreadState *thread)
{
    return _Py_eval_breaker_bit_is_set(thread, _PY_GIL_DROP_REQUEST_BIT);
}

/* Operands of a call: [callable, NULL] or [method, object], and the arguments. */
static inline PyObject *
callee_at(PyObject **bottom)
{
    return bottom[0];
}

static inline PyObject *
object_at(PyObject **bottom)
{
    return bottom[1];
}

static inline void
put_global(PyObject **bottom, PyObject *value)
{
    bottom[0] = value;
    bottom[1] = NULL;
}

#include "frame_since_3_12.h"

/* The names are pushed as a constant, and the two are one instruction here, as they are to the decoder. */
static inline bool
holds_keywords(int opcode, int following)
{
    return opcode == LOAD_CONST && following == CALL_KW;
}

static inline void
spell(int opcode, int argument, struct instruction *to)
{
    switch (opcode) {
    case COMPARE_OP:
        to->kind = argument & 16 ? COMPARE_TRUTH : COMPARE;
        to->argument = argument >> 5;
        return;
    case LOAD_FAST_LOAD_FAST: IS(TWO_LOCALS);
    case STORE_FAST_LOAD_FAST: IS(SET_LOCAL_THEN_LOCAL);
    case STORE_FAST_STORE_FAST: IS(SET_TWO_LOCALS);
    case TO_BOOL: IS(TRUTH);
    case MAKE_FUNCTION: argument = 0; IS(NEW_FUNCTION);
    case SET_FUNCTION_ATTRIBUTE: IS(SET_FUNCTION_PART);
    case CONVERT_VALUE: IS(CONVERT);
    case FORMAT_SIMPLE: IS(FORMAT);
    case FORMAT_WITH_SPEC: IS(FORMAT_WITH);
    case FOR_ITER: JUMPS(NEXT_OR_JUMP, argument + 2);   /* behind the END_FOR and POP_TOP there */
    case CALL_KW:
        to->kind = to->keywords < 0 ? CALL_OBJECT_WITH_NAMES : CALL_OBJECT;
        to->argument = argument;
        return;
    default: spell_common(opcode, argument, to);
    }
}
#undef IS
#undef JUMPS
