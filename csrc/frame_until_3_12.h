/* What the frames of CPython 3.11 and 3.12 have in common. See frame.h for what each function promises.
 *
 * The pointer is `prev_instr`: the unit before the one that runs next. The callee of a call lies above its NULL.
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

static inline bool
can_raise_at(PyCodeObject *code, const struct instruction *instruction)
{
    (void)code;
    (void)instruction;
    return true;
}

/* `bottom` are the lowest two operands of a call: [NULL, callable] or [method, object]. */
static inline PyObject *
callee_at(PyObject **bottom)
{
    return bottom[0] == NULL ? bottom[1] : bottom[0];
}

/* NULL, or the object that is the method's first argument. */
static inline PyObject *
object_at(PyObject **bottom)
{
    return bottom[0] == NULL ? NULL : bottom[1];
}

static inline void
put_global(PyObject **bottom, PyObject *value)
{
    bottom[0] = NULL;
    bottom[1] = value;
}
