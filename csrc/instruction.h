/* Instructions as this project names them: one spelling for all versions of CPython.
 *
 * Only what performers.h has a row for has a name here. Everything else is CPYTHON: the interpreter loop
 * executes it and the rest of the call.
 */
#ifndef FRAMELIFT_INSTRUCTION_H
#define FRAMELIFT_INSTRUCTION_H

#include <stdbool.h>

enum kind {
    CPYTHON_INSTRUCTION,        /* 0, so that opcodes nobody named are left to CPython */
    PREFIX_OF_CALL,             /* read further: what follows belongs to it */
    /* the stack */
    NO_OPERATION, POP, PUSH_NULL_OPERAND, COPY_OPERAND, SWAP_OPERANDS, CONSTANT,
    /* locals, cells, globals, attributes */
    LOCAL, SET_LOCAL, UNSET_LOCAL, TWO_LOCALS, SET_LOCAL_THEN_LOCAL, SET_TWO_LOCALS, CELL, CELL_VALUE, SET_CELL_VALUE,
    UNSET_CELL_VALUE, LOCAL_OR_NULL_TAKEN, GLOBAL, SET_GLOBAL, UNSET_GLOBAL, ATTRIBUTE, METHOD, SUPER_ATTRIBUTE,
    SET_ATTRIBUTE, UNSET_ATTRIBUTE,
    /* operators */
    POSITIVE, NEGATIVE, INVERT, NOT, TRUTH, BINARY, COMPARE, COMPARE_TRUTH, IDENTITY, MEMBERSHIP,
    ITEM, SET_ITEM, UNSET_ITEM, SLICE_ITEM, SET_SLICE_ITEM, LENGTH,
    IS_SEQUENCE_PATTERN, IS_MAPPING_PATTERN,
    /* displays, unpacking, strings */
    MAKE_TUPLE, MAKE_LIST, MAKE_SET, MAKE_DICT, MAKE_DICT_OF_KEYS, MAKE_SLICE,
    APPEND_TO_LIST, ADD_TO_SET, ADD_TO_DICT, EXTEND_LIST, TUPLE_OF_LIST,
    UPDATE_SET, UPDATE_DICT, MERGE_KEYWORDS, UNPACK, UNPACK_WITH_REST, JOIN_STRINGS,
    CONVERT_AND_FORMAT, CONVERT, FORMAT, FORMAT_WITH,
    /* jumps and loops */
    JUMP_ALWAYS, JUMP_IF_TRUE, JUMP_IF_FALSE, JUMP_IF_NONE, JUMP_IF_NOT_NONE,
    JUMP_IF_TRUE_OR_POP_IT, JUMP_IF_FALSE_OR_POP_IT, ITERATOR, NEXT_OR_JUMP,
    /* calls, functions, classes, imports, with */
    CALL_OBJECT, CALL_OBJECT_WITH_NAMES, CALL_UNPACKED, RETURN_OPERAND, RETURN_A_CONSTANT,
    NEW_FUNCTION, SET_FUNCTION_PART, CLASS_BUILDER, IMPORT_MODULE, IMPORT_ATTRIBUTE,
    ENTER_CONTEXT, EXIT_CONTEXT_RAISED,
    /* exceptions */
    ASSERTION_CLASS, RAISE, RAISE_AGAIN, BEGIN_HANDLER, END_HANDLER, MATCHES_EXCEPTION,
    /* generators and coroutines */
    SEND_TO, END_OF_SEND, AWAITABLE, DELEGATE,
    KIND_COUNT
};

struct instruction {
    enum kind kind;
    int argument;               /* what the kind takes: a slot, an index, a count */
    bool flag;                  /* a second argument: inverted, with NULL, with keywords */
    int jump;                   /* for jumps: code units from `next`, forwards or backwards */
    int first;                  /* unit of the first prefix: where the instruction starts */
    int unit;                   /* unit of the opcode itself: where the pointer stands while it runs */
    int next;                   /* unit behind it and its caches */
    int keywords;               /* index of the constant with the names of a call's keywords, or -1 */
};

#endif
