/* What the frames of CPython 3.12 and 3.13 have in common. See frame.h for what each function promises.
 *
 * The eval function owns its frame: it clears it, whatever happens. So a frame that is over is handed to
 * CPython once more, at one of its own return instructions, with the value as its only operand.
 */

#include "internal/pycore_intrinsics.h"

#define CALL_WEIGHT 3  /* see recursion.c */

static inline PyObject *
frame_function(Frame *frame)
{
    return frame->f_funcobj;
}

static inline void
set_frame_function(Frame *frame, PyObject *function)
{
    frame->f_funcobj = function;
}

/* Python frames and C calls have a counter each. */
static inline int
enter_depth(PyThreadState *thread)
{
    if (thread->py_recursion_remaining <= 0) {
        PyErr_SetString(PyExc_RecursionError, "maximum recursion depth exceeded");
        return -1;
    }
    if (Py_EnterRecursiveCall("") != 0) {
        return -1;
    }
    thread->py_recursion_remaining--;
    return 0;
}

static inline void
leave_depth(PyThreadState *thread)
{
    thread->py_recursion_remaining++;
    Py_LeaveRecursiveCall();
}

/* Calls of C are counted for themselves, and one through the shim is two of them: releases of 3.12 end at 1,500. */
#define C_CALLS_KEPT 750

static inline bool
is_deep(PyThreadState *thread)
{
    return thread->py_recursion_limit - thread->py_recursion_remaining > DEEP
           || thread->c_recursion_remaining < C_CALLS_KEPT;
}

static inline Py_ssize_t
reserve_code_word(void)
{
    return PyUnstable_Eval_RequestCodeExtraIndex(NULL);
}

static inline int
get_code_word(PyObject *code, Py_ssize_t index, void **word)
{
    return PyUnstable_Code_GetExtra(code, index, word);
}

static inline int
set_code_word(PyObject *code, Py_ssize_t index, void *word)
{
    return PyUnstable_Code_SetExtra(code, index, word);
}

/* sys.monitoring: tools that watch everything, and those that watch this code. */
static inline bool
is_monitored(PyThreadState *thread, PyCodeObject *code)
{
    const uint8_t *everywhere = thread->interp->monitors.tools;

    for (size_t event = 0; event < sizeof(thread->interp->monitors.tools); event++) {
        if (everywhere[event] != 0) {
            return true;
        }
    }
    if (code->_co_monitoring == NULL) {
        return false;
    }
    const uint8_t *here = code->_co_monitoring->local_monitors.tools;

    for (size_t event = 0; event < sizeof(code->_co_monitoring->local_monitors.tools); event++) {
        if (here[event] != 0) {
            return true;
        }
    }
    return false;
}

static inline bool
is_observed(PyThreadState *thread, PyCodeObject *code)
{
    return thread->c_tracefunc != NULL || thread->c_profilefunc != NULL || is_monitored(thread, code);
}

/* Events are the loop's own business here. */
static inline bool
can_tell(void)
{
    return false;
}

static inline void
tell_raised(PyThreadState *thread, PyFrameObject *object)
{
    (void)thread;
    (void)object;
}

static inline void
tell_left(PyThreadState *thread, PyFrameObject *object)
{
    (void)thread;
    (void)object;
}

static inline void
tell_handler(PyThreadState *thread, PyFrameObject *object, int from, int unit)
{
    (void)thread;
    (void)object;
    (void)from;
    (void)unit;
}

static inline void
hush(PyThreadState *thread, bool quiet)
{
    (void)thread;
    (void)quiet;
}

/* What is registered for the event of an exception that is thrown into a frame, while hush_throw() has put
 * something else there; owned. The loop says that event first of all, so no Python code runs meanwhile. */
static PyObject *not_told[PY_MONITORING_TOOL_IDS];

/* What stands there meanwhile, one for each tool, never freed. */
static PyObject *stand_ins[PY_MONITORING_TOOL_IDS];

/* In the place of what tool `number` has registered: puts that back, once it would have been called. */
static PyObject *
told_nothing(PyObject *number, PyObject *const *arguments, Py_ssize_t count)
{
    long tool = PyLong_AsLong(number);
    PyInterpreterState *interpreter = PyThreadState_Get()->interp;

    (void)arguments;
    (void)count;
    interpreter->monitoring_callables[tool][PY_MONITORING_EVENT_PY_THROW] = not_told[tool];
    not_told[tool] = NULL;
    Py_RETURN_NONE;
}

static inline void
hush_throw(PyThreadState *thread)
{
    static PyMethodDef nothing = {"nothing", _PyCFunction_CAST(told_nothing), METH_FASTCALL, NULL};
    PyInterpreterState *interpreter = thread->interp;
    uint8_t tools = interpreter->monitors.tools[PY_MONITORING_EVENT_PY_THROW];

    /* Else the event is not said, and nobody would put things back. */
    if (thread->tracing != 0 || thread->py_recursion_remaining <= 1 || thread->c_recursion_remaining <= 2) {
        return;
    }
    for (int tool = 0; tool < PY_MONITORING_TOOL_IDS; tool++) {
        PyObject **registered = &interpreter->monitoring_callables[tool][PY_MONITORING_EVENT_PY_THROW];

        if ((tools & (1 << tool)) != 0 && *registered != NULL && not_told[tool] == NULL) {
            if (stand_ins[tool] == NULL) {
                PyObject *exception = PyErr_GetRaisedException(), *number = PyLong_FromLong(tool);

                stand_ins[tool] = number == NULL ? NULL : PyCFunction_New(&nothing, number);
                Py_XDECREF(number);
                PyErr_SetRaisedException(exception);
            }
            if (stand_ins[tool] != NULL) {
                not_told[tool] = *registered;
                *registered = stand_ins[tool];
            }
        }
    }
}

/* The exception that is set, an owned reference; none is set afterwards. */
static inline PyObject *
take_raised(void)
{
    return PyErr_GetRaisedException();
}

/* Sets `exception`, which is taken over, with the traceback it has. */
static inline void
raise_again(PyObject *exception)
{
    PyErr_SetRaisedException(exception);
}

/* The unit of an instruction of the code that returns its operand, or the constant `value`; -1 if there is
 * none. `with_operand` says which of them. */
static int
return_in(PyCodeObject *code, PyObject *value, bool *with_operand)
{
    PyObject *bytes = PyCode_GetCode(code);
    int found = -1;

    if (bytes == NULL) {
        PyErr_Clear();
        return -1;
    }
    const unsigned char *units = (const unsigned char *)PyBytes_AS_STRING(bytes);

    for (int unit = (int)(PyBytes_GET_SIZE(bytes) / 2) - 1; unit >= 0 && found < 0; unit--) {
        int constant = units[2 * unit + 1];

        if (unit > 0 && units[2 * unit - 2] == EXTENDED_ARG) {
            constant |= units[2 * unit - 1] << 8;
        }
        if (units[2 * unit] == RETURN_VALUE) {
            *with_operand = true;
            found = unit;
        }
        else if (units[2 * unit] == RETURN_CONST && constant < PyTuple_GET_SIZE(code->co_consts)
                 && PyTuple_GET_ITEM(code->co_consts, constant) == value) {
            *with_operand = false;
            found = unit;
        }
    }
    Py_DECREF(bytes);
    return found;
}

static inline PyObject *
end(PyThreadState *thread, Frame *frame, PyObject *value)
{
    /* For code that has no such return: the unit that CPython thinks it has executed, and a return. */
    static _Py_CODEUNIT only_return[2] = {{.op.code = NOP}, {.op.code = RETURN_VALUE}};
    bool with_operand = true;
    int unit;

    if (value == NULL) {
        point_at_raised(frame, 0);
        return _PyEval_EvalFrameDefault(thread, frame, 1);
    }
    unit = return_in(frame_code(frame), value, &with_operand);
    if (unit >= 0) {
        point_at_start(frame, unit);
    }
    else {
        point_at_foreign(frame, only_return);
    }
    if (with_operand) {
        frame->localsplus[frame->stacktop++] = value;
    }
    else {
        Py_DECREF(value);
    }
    return _PyEval_EvalFrameDefault(thread, frame, 0);
}

/* What `opcode` with `argument` means, for the opcodes that mean the same in both versions. */
static inline void
spell_common(int opcode, int argument, struct instruction *to)
{
#define IS(KIND) to->kind = KIND; to->argument = argument; return
#define JUMPS(KIND, UNITS) to->kind = KIND; to->jump = UNITS; return
    switch (opcode) {
    case NOP: IS(NO_OPERATION);
    case RESUME: IS(NO_OPERATION);
    case POP_TOP: IS(POP);
    case PUSH_NULL: IS(PUSH_NULL_OPERAND);
    case COPY: IS(COPY_OPERAND);
    case SWAP: IS(SWAP_OPERANDS);
    case LOAD_CONST: IS(CONSTANT);

    case LOAD_FAST:
    case LOAD_FAST_CHECK: IS(LOCAL);
    case STORE_FAST: IS(SET_LOCAL);
    case DELETE_FAST: IS(UNSET_LOCAL);
    case LOAD_DEREF: IS(CELL_VALUE);
    case STORE_DEREF: IS(SET_CELL_VALUE);
    case DELETE_DEREF: IS(UNSET_CELL_VALUE);
    case LOAD_FAST_AND_CLEAR: IS(LOCAL_OR_NULL_TAKEN);
    case LOAD_GLOBAL: to->flag = argument & 1; argument >>= 1; IS(GLOBAL);
    case STORE_GLOBAL: IS(SET_GLOBAL);
    case DELETE_GLOBAL: IS(UNSET_GLOBAL);
    case LOAD_ATTR:
        to->kind = argument & 1 ? METHOD : ATTRIBUTE;
        to->argument = argument >> 1;
        return;
    case LOAD_SUPER_ATTR: to->flag = argument & 1; argument >>= 1; IS(SUPER_ATTRIBUTE);
    case STORE_ATTR: IS(SET_ATTRIBUTE);
    case DELETE_ATTR: IS(UNSET_ATTRIBUTE);

    case CALL_INTRINSIC_1:
        to->kind = argument == INTRINSIC_UNARY_POSITIVE  ? POSITIVE
                   : argument == INTRINSIC_LIST_TO_TUPLE ? TUPLE_OF_LIST
                                                         : CPYTHON_INSTRUCTION;
        return;
    case UNARY_NEGATIVE: IS(NEGATIVE);
    case UNARY_INVERT: IS(INVERT);
    case UNARY_NOT: IS(NOT);
    case BINARY_OP: IS(BINARY);
    case IS_OP: to->flag = argument; IS(IDENTITY);
    case CONTAINS_OP: to->flag = argument; IS(MEMBERSHIP);
    case BINARY_SUBSCR: IS(ITEM);
    case STORE_SUBSCR: IS(SET_ITEM);
    case DELETE_SUBSCR: IS(UNSET_ITEM);
    case BINARY_SLICE: IS(SLICE_ITEM);
    case STORE_SLICE: IS(SET_SLICE_ITEM);
    case GET_LEN: IS(LENGTH);
    case MATCH_SEQUENCE: IS(IS_SEQUENCE_PATTERN);
    case MATCH_MAPPING: IS(IS_MAPPING_PATTERN);

    case BUILD_TUPLE: IS(MAKE_TUPLE);
    case BUILD_LIST: IS(MAKE_LIST);
    case BUILD_SET: IS(MAKE_SET);
    case BUILD_MAP: IS(MAKE_DICT);
    case BUILD_CONST_KEY_MAP: IS(MAKE_DICT_OF_KEYS);
    case BUILD_SLICE: IS(MAKE_SLICE);
    case LIST_APPEND: IS(APPEND_TO_LIST);
    case SET_ADD: IS(ADD_TO_SET);
    case MAP_ADD: IS(ADD_TO_DICT);
    case LIST_EXTEND: IS(EXTEND_LIST);
    case SET_UPDATE: IS(UPDATE_SET);
    case DICT_UPDATE: IS(UPDATE_DICT);
    case DICT_MERGE: IS(MERGE_KEYWORDS);
    case UNPACK_SEQUENCE: IS(UNPACK);
    case UNPACK_EX: IS(UNPACK_WITH_REST);
    case BUILD_STRING: IS(JOIN_STRINGS);

    case JUMP_FORWARD: JUMPS(JUMP_ALWAYS, argument);
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT: JUMPS(JUMP_ALWAYS, -argument);
    case POP_JUMP_IF_TRUE: JUMPS(JUMP_IF_TRUE, argument);
    case POP_JUMP_IF_FALSE: JUMPS(JUMP_IF_FALSE, argument);
    case POP_JUMP_IF_NONE: JUMPS(JUMP_IF_NONE, argument);
    case POP_JUMP_IF_NOT_NONE: JUMPS(JUMP_IF_NOT_NONE, argument);
    case GET_ITER: IS(ITERATOR);

    case CALL: IS(CALL_OBJECT);
    case CALL_FUNCTION_EX: to->flag = argument & 1; IS(CALL_UNPACKED);
    case RETURN_VALUE: IS(RETURN_OPERAND);
    case RETURN_CONST: IS(RETURN_A_CONSTANT);
    case IMPORT_NAME: IS(IMPORT_MODULE);
    case IMPORT_FROM: IS(IMPORT_ATTRIBUTE);
    case LOAD_BUILD_CLASS: IS(CLASS_BUILDER);
    case BEFORE_WITH: IS(ENTER_CONTEXT);
    case WITH_EXCEPT_START: IS(EXIT_CONTEXT_RAISED);
    case SEND: to->argument = 1; JUMPS(SEND_TO, argument);
    case END_SEND: IS(END_OF_SEND);
    case GET_AWAITABLE: IS(AWAITABLE);
    case GET_YIELD_FROM_ITER: IS(DELEGATE);

    case LOAD_ASSERTION_ERROR: IS(ASSERTION_CLASS);
    case RAISE_VARARGS: IS(RAISE);
    case RERAISE: IS(RAISE_AGAIN);
    case PUSH_EXC_INFO: IS(BEGIN_HANDLER);
    case POP_EXCEPT: IS(END_HANDLER);
    case CHECK_EXC_MATCH: IS(MATCHES_EXCEPTION);
    default: IS(CPYTHON_INSTRUCTION);
    }
}
