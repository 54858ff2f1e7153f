/* SPDX-License-Identifier: MIT */
#ifndef WEFTI_POOL_STOP_H
#define WEFTI_POOL_STOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Kills a worker of this process's family (family/below.h names members so), and all that it has started; nothing of it runs when this
 * comes back. False: the caller may not, and nothing was done.
 */
bool wefti_process_stop_tree(uint64_t worker);
/* The same, by its pid, whoever the caller is by now. */
void wefti_process_stop_worker(int32_t pid);

#endif
