/* Frames of CPython 3.12. See frame.h for what each function promises.
 *
 * The pointer is `prev_instr`, as in 3.11. Calls with keywords are spelled KW_NAMES, CALL; the first leaves the
 * names outside the frame, so the two are one instruction here, started at the first.
 */

#include "frame_until_3_12.h"

/* The code's second unit is executed next. */
static inline void
point_at_foreign(Frame *frame, _Py_CODEUNIT *code)
{
    frame->prev_instr = code;
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
