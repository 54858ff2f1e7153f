/* SPDX-License-Identifier: MIT */
/*
 * Families from outside: which there are, who their processes are, what their tasks hold and wait for. Read from their arenas, by any process of the same
 * user (or root), without their doing anything; they go on meanwhile, so a report is what was seen in passing.
 */
#ifndef WEFT_INSPECT_H
#define WEFT_INSPECT_H

#include <weft/base.h>
#include <weft/value.h>

WEFT_BEGIN

/*
 * The families whose memory the caller may look at: a list of the process numbers of their roots (a root may be dead, and its family not yet gone), yours.
 * From any task; looks through /proc. 0; -1 with EINVAL (NULL), ENOMEM, and what opening /proc gives.
 */
WEFT_API int weft_families(weft_value *roots);

/*
 * What is seen of the family that a process belongs to: a dict, yours.
 *   root, supervisor, spare   process numbers; 0 for one that is dead or not there
 *   alive                     whether the root lives
 *   epoch                     how many supervisors it has had; 0: it has no processes, only shared memory
 *   size, octets, blocks      of the arena: how large it may grow, and what is handed out of it
 *   processes                 a list of dicts:
 *     pid, seat, state        "coming", "runs", "gone"
 *     name                    what the kernel calls it
 *     seconds                 for how long it has run
 *     tasks                   a list of dicts, of the tasks that have used something shared:
 *       thread, name          the kernel's number of its thread, and its name
 *       holds                 a list of dicts: kind ("lock", "permits", ...), address, count
 *       waits                 a list of dicts: kind, address, and where somebody has what is waited for: pid, thread of the owner
 *       seconds               for how long it has waited
 *   objects                   a list of dicts: kind and address, and
 *     of a "queue"            capacity (-1: unbounded), closed, getters and putters, how many of each wait
 *     of a "pool"             limit, workers, idle of them, closed
 * From any task. 0; -1 with ESRCH (no such process, or it is of no family), EACCES (it is another user's), EPROTO (of another version of the library, or
 * damaged), EINVAL (NULL), ENOMEM.
 */
WEFT_API int weft_inspect(int pid, weft_value *report);

/*
 * Ends what is left of families whose root is dead: kills their processes. Without a defect, and without a death of supervisor and spare together, there is nothing. Returns how many
 * it killed. From any task. -1 as weft_families.
 */
WEFT_API int weft_families_clean(void);

WEFT_END

#endif
