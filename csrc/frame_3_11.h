/* Frames of CPython 3.11. See frame.h for what each function promises.
 *
 * The pointer is `prev_instr`: the unit before the one that runs next. The caller of the eval function
 * clears the frame. Calls are spelled KW_NAMES, PRECALL, CALL, of which the first leaves the names outside
 * the frame: the three are one instruction here, started at the first.
 */

#include "frame_until_3_12.h"

#define CALL_WEIGHT 1  /* see recursion.c */

static inline PyObject *
frame_function(Frame *frame)
{
    return (PyObject *)frame->f_func;
}

static inline void
set_frame_function(Frame *frame, PyObject *function)
{
    frame->f_func = (PyFunctionObject *)function;
}

/* Python frames and C calls share one counter. */
static inline int
enter_depth(PyThreadState *thread)
{
    (void)thread;
    return Py_EnterRecursiveCall("");
}

static inline void
leave_depth(PyThreadState *thread)
{
    (void)thread;
    Py_LeaveRecursiveCall();
}

static inline bool
is_deep(PyThreadState *thread)
{
    return thread->recursion_limit - thread->recursion_remaining > DEEP;
}

static inline bool
is_observed(PyThreadState *thread, PyCodeObject *code)
{
    (void)code;
    return thread->cframe->use_tracing;
}

/* Calls a trace or profile function as the loop does. An exception that is set is kept, unless it raises one. */
static inline void
tell(PyThreadState *thread, Py_tracefunc function, PyObject *whose, PyFrameObject *object, int what)
{
    PyObject *type, *value, *traceback, *argument = NULL;
    int before = thread->tracing_what, status;

    if (function == NULL || thread->tracing) {
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    if (what == PyTrace_EXCEPTION) {
        PyErr_NormalizeException(&type, &value, &traceback);
        argument = PyTuple_Pack(3, type, value, traceback == NULL ? Py_None : traceback);
        if (argument == NULL) {
            PyErr_Restore(type, value, traceback);
            return;
        }
    }
    thread->tracing_what = what;
    PyThreadState_EnterTracing(thread);
    status = function(whose, object, what, argument);
    PyThreadState_LeaveTracing(thread);
    thread->tracing_what = before;
    Py_XDECREF(argument);
    if (status == 0) {
        PyErr_Restore(type, value, traceback);
    }
    else {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    }
}

/* Whether what follows works: else only the loop can say what happens. */
static inline bool
can_tell(void)
{
    return true;
}

/* Whoever watches learns that the exception that is set was raised in the frame. */
static inline void
tell_raised(PyThreadState *thread, PyFrameObject *object)
{
    tell(thread, thread->c_tracefunc, thread->c_traceobj, object, PyTrace_EXCEPTION);
}

/* The same, that it leaves the frame. */
static inline void
tell_left(PyThreadState *thread, PyFrameObject *object)
{
    tell(thread, thread->c_tracefunc, thread->c_traceobj, object, PyTrace_RETURN);
    tell(thread, thread->c_profilefunc, thread->c_profileobj, object, PyTrace_RETURN);
}

/* The same, that the frame, which raised at `from`, goes on in the handler that begins at `unit`. */
static inline void
tell_handler(PyThreadState *thread, PyFrameObject *object, int from, int unit)
{
    PyCodeObject *code = object->f_frame->f_code;
    int line = PyCode_Addr2Line(code, unit * (int)sizeof(_Py_CODEUNIT));
    int last = PyCode_Addr2Line(code, from * (int)sizeof(_Py_CODEUNIT));

    if (line != -1 && object->f_trace_lines && (line != last || unit < from)) {
        tell(thread, thread->c_tracefunc, thread->c_traceobj, object, PyTrace_LINE);
    }
    if (object->f_trace_opcodes && !PyErr_Occurred()) {
        tell(thread, thread->c_tracefunc, thread->c_traceobj, object, PyTrace_OPCODE);
    }
}

/* Nobody is told anything until hush(thread, false). */
static inline void
hush(PyThreadState *thread, bool quiet)
{
    if (quiet) {
        PyThreadState_EnterTracing(thread);
    }
    else {
        PyThreadState_LeaveTracing(thread);
    }
}

/* An exception that is thrown into a frame is no event of its own. */
static inline void
hush_throw(PyThreadState *thread)
{
    (void)thread;
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

/* The exception that is set, an owned reference; none is set afterwards. */
static inline PyObject *
take_raised(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyException_SetTraceback(value, traceback == NULL ? Py_None : traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* Sets `exception`, which is taken over, with the traceback it has. */
static inline void
raise_again(PyObject *exception)
{
    PyErr_Restore(Py_NewRef(Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
}

/* Operands are gone already. Whoever called the eval function clears the frame. */
static inline PyObject *
end(PyThreadState *thread, Frame *frame, PyObject *value)
{
    (void)thread;
    (void)frame;
    return value;
}

static inline Py_ssize_t
reserve_code_word(void)
{
    return _PyEval_RequestCodeExtraIndex(NULL);
}

static inline int
get_code_word(PyObject *code, Py_ssize_t index, void **word)
{
    return _PyCode_GetExtra(code, index, word);
}

static inline int
set_code_word(PyObject *code, Py_ssize_t index, void *word)
{
    return _PyCode_SetExtra(code, index, word);
}

static inline bool
holds_keywords(int opcode, int following)
{
    (void)following;
    return opcode == KW_NAMES;
}

/* What `opcode` with `argument` means. */
static inline void
spell(int opcode, int argument, struct instruction *to)
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

    case LOAD_FAST: IS(LOCAL);
    case STORE_FAST: IS(SET_LOCAL);
    case DELETE_FAST: IS(UNSET_LOCAL);
    case LOAD_CLOSURE: IS(CELL);
    case LOAD_DEREF: IS(CELL_VALUE);
    case STORE_DEREF: IS(SET_CELL_VALUE);
    case DELETE_DEREF: IS(UNSET_CELL_VALUE);
    case LOAD_GLOBAL: to->flag = argument & 1; argument >>= 1; IS(GLOBAL);
    case STORE_GLOBAL: IS(SET_GLOBAL);
    case DELETE_GLOBAL: IS(UNSET_GLOBAL);
    case LOAD_ATTR: IS(ATTRIBUTE);
    case LOAD_METHOD: IS(METHOD);
    case STORE_ATTR: IS(SET_ATTRIBUTE);
    case DELETE_ATTR: IS(UNSET_ATTRIBUTE);

    case UNARY_POSITIVE: IS(POSITIVE);
    case UNARY_NEGATIVE: IS(NEGATIVE);
    case UNARY_INVERT: IS(INVERT);
    case UNARY_NOT: IS(NOT);
    case BINARY_OP: IS(BINARY);
    case COMPARE_OP: IS(COMPARE);
    case IS_OP: to->flag = argument; IS(IDENTITY);
    case CONTAINS_OP: to->flag = argument; IS(MEMBERSHIP);
    case BINARY_SUBSCR: IS(ITEM);
    case STORE_SUBSCR: IS(SET_ITEM);
    case DELETE_SUBSCR: IS(UNSET_ITEM);
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
    case LIST_TO_TUPLE: IS(TUPLE_OF_LIST);
    case SET_UPDATE: IS(UPDATE_SET);
    case DICT_UPDATE: IS(UPDATE_DICT);
    case DICT_MERGE: IS(MERGE_KEYWORDS);
    case UNPACK_SEQUENCE: IS(UNPACK);
    case UNPACK_EX: IS(UNPACK_WITH_REST);
    case BUILD_STRING: IS(JOIN_STRINGS);
    case FORMAT_VALUE: to->flag = argument & 4; argument &= 3; IS(CONVERT_AND_FORMAT);

    case JUMP_FORWARD: JUMPS(JUMP_ALWAYS, argument);
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT: JUMPS(JUMP_ALWAYS, -argument);
    case POP_JUMP_FORWARD_IF_TRUE: JUMPS(JUMP_IF_TRUE, argument);
    case POP_JUMP_BACKWARD_IF_TRUE: JUMPS(JUMP_IF_TRUE, -argument);
    case POP_JUMP_FORWARD_IF_FALSE: JUMPS(JUMP_IF_FALSE, argument);
    case POP_JUMP_BACKWARD_IF_FALSE: JUMPS(JUMP_IF_FALSE, -argument);
    case POP_JUMP_FORWARD_IF_NONE: JUMPS(JUMP_IF_NONE, argument);
    case POP_JUMP_BACKWARD_IF_NONE: JUMPS(JUMP_IF_NONE, -argument);
    case POP_JUMP_FORWARD_IF_NOT_NONE: JUMPS(JUMP_IF_NOT_NONE, argument);
    case POP_JUMP_BACKWARD_IF_NOT_NONE: JUMPS(JUMP_IF_NOT_NONE, -argument);
    case JUMP_IF_TRUE_OR_POP: JUMPS(JUMP_IF_TRUE_OR_POP_IT, argument);
    case JUMP_IF_FALSE_OR_POP: JUMPS(JUMP_IF_FALSE_OR_POP_IT, argument);
    case GET_ITER: IS(ITERATOR);
    case FOR_ITER: JUMPS(NEXT_OR_JUMP, argument);

    case PRECALL: IS(PREFIX_OF_CALL);
    case CALL: IS(CALL_OBJECT);
    case CALL_FUNCTION_EX: to->flag = argument & 1; IS(CALL_UNPACKED);
    case RETURN_VALUE: IS(RETURN_OPERAND);
    case IMPORT_NAME: IS(IMPORT_MODULE);
    case IMPORT_FROM: IS(IMPORT_ATTRIBUTE);
    case MAKE_FUNCTION: IS(NEW_FUNCTION);
    case LOAD_BUILD_CLASS: IS(CLASS_BUILDER);
    case BEFORE_WITH: IS(ENTER_CONTEXT);
    case WITH_EXCEPT_START: IS(EXIT_CONTEXT_RAISED);
    case SEND: to->argument = 2; JUMPS(SEND_TO, argument);
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
#undef IS
#undef JUMPS
}
