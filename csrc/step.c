/* One instruction, performed: what stands at a graph break.
 *
 * The frame is the thread's current one and its pointer is on the instruction, so whatever user code the
 * instruction runs sees the picture that CPython would show. Operands are taken from the frame's stack and
 * results put there, through the abstract C API; the meaning of each instruction is that of CPython's
 * documentation: https://docs.python.org/3/library/dis.html
 *
 * Laws:
 * 1. An answer of IN_CPYTHON means that nothing has happened: the interpreter loop executes the instruction
 *    itself. Whatever would raise one of the loop's own errors (unbound names, what cannot be unpacked) is
 *    answered so before anything runs.
 * 2. User code runs while the operands are still on the stack, which owns them; they are released at once
 *    afterwards, the lowest first, also when an exception is set. Handlers are found by what lies below.
 */
#include "performers.h"

#include <stddef.h>

typedef enum outcome (*performer)(struct work *work);

#define ROW(kind, function) [kind] = function,
static const performer performers[KIND_COUNT] = { PERFORMERS(ROW) };
#undef ROW

/* The opcode of the instruction that starts at `unit`, or CACHE behind the last one. */
static int
opcode_at(const unsigned char *code, int unit, int count)
{
    while (unit < count && code[2 * unit] == EXTENDED_ARG) {
        unit++;
    }
    return unit < count ? code[2 * unit] : CACHE;
}

/* Reads the instruction that starts at `first`. `bytes` is co_code: without specialisation, caches zero. */
static void
read_instruction(PyObject *bytes, int first, struct instruction *instruction)
{
    const unsigned char *code = (const unsigned char *)PyBytes_AS_STRING(bytes);
    int count = (int)(PyBytes_GET_SIZE(bytes) / 2), extended = 0;

    *instruction = (struct instruction){.first = first, .unit = first, .next = first, .keywords = -1};
    for (int unit = first; unit < count; unit = instruction->next) {
        int opcode = code[2 * unit], argument = extended | code[2 * unit + 1];

        instruction->unit = unit;
        instruction->next = unit + 1;
        if (opcode == EXTENDED_ARG) {
            extended = argument << 8;
            continue;
        }
        extended = 0;
        while (instruction->next < count && code[2 * instruction->next] == CACHE) {
            instruction->next++;
        }
        if (holds_keywords(opcode, opcode_at(code, instruction->next, count))) {
            instruction->keywords = argument;
            continue;
        }
        spell(opcode, argument, instruction);
        if (instruction->kind != PREFIX_OF_CALL) {
            return;
        }
    }
    instruction->kind = CPYTHON_INSTRUCTION;
}

/* 0, or -1 with an exception set. */
int
framelift_read_instruction(Frame *frame, int first, struct instruction *instruction)
{
    PyObject *bytes = PyCode_GetCode(frame_code(frame));

    if (bytes == NULL) {
        return -1;
    }
    read_instruction(bytes, first, instruction);
    Py_DECREF(bytes);
    return 0;
}

/* Whether the code from `first` on does nothing but tidy the frame up and raise what it was entered with. Such are
 * the handlers that the compiler adds: at the end of an `except`, around a comprehension. */
int
framelift_is_cleanup(Frame *frame, int first)
{
    PyObject *bytes = PyCode_GetCode(frame_code(frame));
    struct instruction instruction = {.next = first, .kind = NO_OPERATION};
    bool tidies = bytes != NULL;

    while (tidies && instruction.kind != RAISE_AGAIN) {
        read_instruction(bytes, instruction.next, &instruction);
        switch (instruction.kind) {
        case NO_OPERATION: case POP: case COPY_OPERAND: case SWAP_OPERANDS: case CONSTANT:
        case SET_LOCAL: case UNSET_LOCAL: case SET_CELL_VALUE: case UNSET_CELL_VALUE: case SET_GLOBAL:
        case UNSET_GLOBAL: case SET_TWO_LOCALS: case END_HANDLER: case RAISE_AGAIN: break;
        default: tidies = false;
        }
    }
    if (bytes == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(bytes);
    return tidies;
}

/* Whether instructions of the kind never raise, whatever their operands are. */
static bool
never_raises(enum kind kind)
{
    switch (kind) {
    case NO_OPERATION: case POP: case PUSH_NULL_OPERAND: case COPY_OPERAND: case SWAP_OPERANDS: case CONSTANT:
    case LOCAL: case SET_LOCAL: case UNSET_LOCAL: case TWO_LOCALS: case SET_LOCAL_THEN_LOCAL: case SET_TWO_LOCALS:
    case CELL: case CELL_VALUE: case SET_CELL_VALUE: case UNSET_CELL_VALUE: case LOCAL_OR_NULL_TAKEN:
    case BEGIN_HANDLER: case END_HANDLER: case RETURN_OPERAND: case RETURN_A_CONSTANT:
        return true;
    default:
        return false;
    }
}

/* Performs `instruction`, whose operands are on the frame's stack. See step.h for what is in `step`
 * afterwards. */
enum outcome
framelift_perform(Frame *frame, const struct instruction *instruction, struct step *step)
{
    performer perform = performers[instruction->kind];
    struct work work = {
        .frame = frame,
        .code = frame_code(frame),
        .instruction = instruction,
        .top = frame_top(frame),
        .next = instruction->next,
    };
    enum outcome outcome;

    if (perform == NULL
        || (!never_raises(instruction->kind) && !can_raise_at(work.code, instruction) && !is_covered(&work))) {
        return IN_CPYTHON;
    }
    point_at_running(frame, instruction->unit);
    hide_objects(frame);
    outcome = perform(&work);
    set_frame_top(frame, work.top);
    step->next = work.next;
    step->value = work.value;
    return outcome;
}
