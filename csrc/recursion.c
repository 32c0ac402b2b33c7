/* The depth of a compiled call, counted so that it stops before the C stack does.
 *
 * A call that runs an entry keeps its slots, inputs and results in its C frames: about 1,500 bytes, more
 * than the 800 or so that CPython reckons with since 3.12, where C calls have a limit of their own (10,000
 * on a stack of 8 MiB). There it counts as three. On 3.11 C calls and Python frames share one limit, which
 * a user sees: one call counts as one.
 */
#include "frame.h"

void
framelift_leave_call(void)
{
    for (int count = 0; count < CALL_WEIGHT; count++) {
        Py_LeaveRecursiveCall();
    }
}

/* 0, and framelift_leave_call() is due; or -1 with RecursionError set. */
int
framelift_enter_call(void)
{
    for (int count = 0; count < CALL_WEIGHT; count++) {
        if (Py_EnterRecursiveCall(" while calling a Python object") != 0) {
            while (count-- > 0) {
                Py_LeaveRecursiveCall();
            }
            return -1;
        }
    }
    return 0;
}
