/* SPDX-License-Identifier: MIT */
#ifndef WEFTI_POOL_STOP_H
#define WEFTI_POOL_STOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Kills a worker of this process's family, and all that it has started; nothing of it runs when this comes back. False: the caller may not,
 * and nothing was done.
 */
bool wefti_process_stop_tree(int32_t pid);
/* The same, whoever the caller is by now. */
void wefti_process_stop_worker(int32_t pid);

#endif
