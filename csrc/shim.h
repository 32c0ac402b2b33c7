/* What keeps the shim set: see shim.c. */
#ifndef FRAMELIFT_SHIM_H
#define FRAMELIFT_SHIM_H

void framelift_suspended_one_more(void);
void framelift_suspended_one_less(void);

#endif
