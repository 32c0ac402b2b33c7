/* Which function performs which kind of instruction. Kinds without a row are left to CPython.
 *
 * The functions are in step_places.c, step_objects.c, step_containers.c, step_calls.c, step_control.c and
 * step_exceptions.c; the laws that they keep are in step.c.
 */
#ifndef FRAMELIFT_PERFORMERS_H
#define FRAMELIFT_PERFORMERS_H

#include "work.h"

#define PERFORMERS(row) \
    row(NO_OPERATION, step_no_operation) \
    row(POP, step_pop) \
    row(PUSH_NULL_OPERAND, step_push_null) \
    row(COPY_OPERAND, step_copy) \
    row(SWAP_OPERANDS, step_swap) \
    row(CONSTANT, step_load_constant) \
    row(LOCAL, step_local) \
    row(SET_LOCAL, step_set_local) \
    row(UNSET_LOCAL, step_unset_local) \
    row(TWO_LOCALS, step_two_locals) \
    row(SET_LOCAL_THEN_LOCAL, step_set_local_then_local) \
    row(SET_TWO_LOCALS, step_set_two_locals) \
    row(CELL, step_cell) \
    row(CELL_VALUE, step_cell_value) \
    row(SET_CELL_VALUE, step_set_cell_value) \
    row(UNSET_CELL_VALUE, step_unset_cell_value) \
    row(LOCAL_OR_NULL_TAKEN, step_local_or_null_taken) \
    row(GLOBAL, step_global) \
    row(SET_GLOBAL, step_set_global) \
    row(UNSET_GLOBAL, step_unset_global) \
    row(ATTRIBUTE, step_attribute) \
    row(METHOD, step_method) \
    row(SUPER_ATTRIBUTE, step_super_attribute) \
    row(SET_ATTRIBUTE, step_set_attribute) \
    row(UNSET_ATTRIBUTE, step_unset_attribute) \
    row(POSITIVE, step_positive) \
    row(NEGATIVE, step_negative) \
    row(INVERT, step_invert) \
    row(NOT, step_not) \
    row(TRUTH, step_truth_of) \
    row(BINARY, step_binary) \
    row(COMPARE, step_compare) \
    row(COMPARE_TRUTH, step_compare_truth) \
    row(IDENTITY, step_identity) \
    row(MEMBERSHIP, step_membership) \
    row(ITEM, step_item) \
    row(SET_ITEM, step_set_item) \
    row(UNSET_ITEM, step_unset_item) \
    row(SLICE_ITEM, step_slice_item) \
    row(SET_SLICE_ITEM, step_set_slice_item) \
    row(LENGTH, step_length) \
    row(IS_SEQUENCE_PATTERN, step_is_sequence) \
    row(IS_MAPPING_PATTERN, step_is_mapping) \
    row(MAKE_TUPLE, step_make_tuple) \
    row(MAKE_LIST, step_make_list) \
    row(MAKE_SET, step_make_set) \
    row(MAKE_DICT, step_make_dict) \
    row(MAKE_DICT_OF_KEYS, step_make_dict_of_keys) \
    row(MAKE_SLICE, step_make_slice) \
    row(APPEND_TO_LIST, step_append_to_list) \
    row(ADD_TO_SET, step_add_to_set) \
    row(ADD_TO_DICT, step_add_to_dict) \
    row(EXTEND_LIST, step_extend_list) \
    row(TUPLE_OF_LIST, step_tuple_of_list) \
    row(UPDATE_SET, step_update_set) \
    row(UPDATE_DICT, step_update_dict) \
    row(MERGE_KEYWORDS, step_merge_keywords) \
    row(UNPACK, step_unpack) \
    row(UNPACK_WITH_REST, step_unpack_with_rest) \
    row(JOIN_STRINGS, step_join_strings) \
    row(CONVERT_AND_FORMAT, step_convert_and_format) \
    row(CONVERT, step_convert) \
    row(FORMAT, step_format) \
    row(FORMAT_WITH, step_format_with) \
    row(JUMP_ALWAYS, step_jump) \
    row(JUMP_IF_TRUE, step_jump_if_true) \
    row(JUMP_IF_FALSE, step_jump_if_false) \
    row(JUMP_IF_NONE, step_jump_if_none) \
    row(JUMP_IF_NOT_NONE, step_jump_if_not_none) \
    row(JUMP_IF_TRUE_OR_POP_IT, step_jump_if_true_or_pop_it) \
    row(JUMP_IF_FALSE_OR_POP_IT, step_jump_if_false_or_pop_it) \
    row(ITERATOR, step_iterator) \
    row(NEXT_OR_JUMP, step_next_or_jump) \
    row(CALL_OBJECT, step_call_object) \
    row(CALL_OBJECT_WITH_NAMES, step_call_object_with_names) \
    row(CALL_UNPACKED, step_call_unpacked) \
    row(RETURN_OPERAND, step_return_operand) \
    row(RETURN_A_CONSTANT, step_return_a_constant) \
    row(NEW_FUNCTION, step_new_function) \
    row(SET_FUNCTION_PART, step_set_function_part) \
    row(CLASS_BUILDER, step_class_builder) \
    row(IMPORT_MODULE, step_import_module) \
    row(IMPORT_ATTRIBUTE, step_import_attribute) \
    row(ENTER_CONTEXT, step_enter_context) \
    row(SEND_TO, step_send) \
    row(END_OF_SEND, step_end_send) \
    row(AWAITABLE, step_awaitable) \
    row(DELEGATE, step_delegate) \
    row(EXIT_CONTEXT_RAISED, step_exit_context_raised) \
    row(ASSERTION_CLASS, step_assertion_class) \
    row(RAISE, step_raise_exception) \
    row(RAISE_AGAIN, step_raise_handled) \
    row(BEGIN_HANDLER, step_begin_handler) \
    row(END_HANDLER, step_end_handler) \
    row(MATCHES_EXCEPTION, step_matches_exception)

#define DECLARE_PERFORMER(kind, function) enum outcome function(struct work *work);
PERFORMERS(DECLARE_PERFORMER)
#undef DECLARE_PERFORMER

#endif
