/* SPDX-License-Identifier: MIT */
/*
 * Families from outside: which there are, who their processes are, what their tasks hold and wait for. Read from their arenas, by any
 * process of the same user (or root), without their doing anything; they go on meanwhile, so a report is what was seen in passing. And
 * coroutines, of any process.
 */
#ifndef WEFT_INSPECT_H
#define WEFT_INSPECT_H

#include <weft/base.h>
#include <weft/value.h>

WEFT_BEGIN

/*
 * The families whose memory the caller may look at: a list of the process numbers of their roots (a root may be dead, and its family not
 * yet gone), yours. From any task; looks through /proc. 0; -1 with EINVAL (NULL), ENOMEM, and what opening /proc gives.
 */
WEFT_API int weft_families(weft_value *roots);

/*
 * What is seen of the family that a process belongs to: a dict, yours.
 *   root, supervisor, spare   process numbers; 0 for one that is dead or not there
 *   alive                     whether the root lives
 *   epoch                     how many supervisors it has had; 0: it has no processes, only shared memory
 *   size, octets, blocks      of the arena: how large it may grow, and what is handed out of it
 *   processes                 a list of dicts:
 *     pid, seat
 *     state                   "runs"; "coming", it is being made; "gone", it is dead, and what it left is being put right
 *     name                    what the kernel calls it
 *     seconds                 for how long it has run
 *     tasks                   a list of dicts, of the tasks that have used something shared:
 *       thread, name          the kernel's number of its thread, and its name
 *       holds                 a list of dicts: kind ("lock", "permits", ...), address, count
 *       waits                 a list of dicts: kind ("lock", "rwlock", "permits", "event", ...; "word": it cannot be told), address, and
 *       where somebody has what is waited for: pid, thread of the owner (of one of those who read)
 *       seconds               for how long it has waited
 *     coroutines              a list of dicts, as weft_inspect_coroutines gives them; of the first thousand, empty when they may not be
 *     looked at
 *   objects                   a list of dicts: kind and address, and
 *     of a "queue"            capacity (-1: unbounded), closed, getters and putters, how many of each wait
 *     of a "pool"             limit, workers, idle of them, closed
 * From any task. 0; -1 with ESRCH (no such process, or it is of no family), EACCES (it is another user's), EPROTO (of another version of
 * the library, or damaged), EINVAL (NULL), ENOMEM.
 */
WEFT_API int weft_inspect(int pid, weft_value *report);

/*
 * The coroutines of a process that uses this library, whether it has a family or not: a list of dicts, yours, oldest first.
 *   name, ident               as weft_task_name and weft_task_ident have them there
 *   thread                    the kernel's number of the thread that it takes turns on
 *   state                     "new" (it has not had a turn), "ready", "runs", "waits"; and of one that waits
 *     waits                   a list of dicts: kind "descriptor" with descriptor and events ("read", "write", "read, write"); kind "word"
 *     or "shared word", with its address; none: it sleeps, or another task ends the wait
 *     seconds                 for how long, to a few milliseconds and to what the thread's last 64 turns took
 *     left                    seconds until its deadline, if it has one
 *     call, place             the public function that it waits in, and from where that was called (the name of a file and an offset in it,
 *     as addr2line takes it), if they can be told: as found on
 *                             its stack, where a word that was left by an earlier call may be taken for them
 * It is read as a debugger reads, so the process does nothing for it and goes on meanwhile, and the caller has to have the right to trace
 * it: where kernel.yama.ptrace_scope is 1 only root has, and its ancestors. From any task. 0; -1 with ESRCH (no such process, or it does
 * not use this library), EPROTO (it uses another build of it), EACCES or EPERM (it may not be looked at), EINVAL (NULL, or no process
 * number), ENOMEM.
 */
WEFT_API int weft_inspect_coroutines(int pid, weft_value *coroutines);

/* The processes that use this very library and that the caller may look at: a list of numbers, yours. From any task; looks through /proc.
 * Fails as weft_families. */
WEFT_API int weft_programs(weft_value *pids);

/*
 * Ends what is left of families whose root is dead: kills their processes. Without a defect, and without a death of supervisor and spare
 * together, there is nothing. Returns how many it killed. From any task. -1 as weft_families.
 */
WEFT_API int weft_families_clean(void);

WEFT_END

#endif
