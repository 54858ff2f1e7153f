/* SPDX-License-Identifier: MIT */
/*
 * Tasks as processes, between their files. Two things stand for one: the handle in the process that made it, and a record in the arena,
 * which the process that runs it has too. Reading order: this, then process_record.c (the record, and who lets it go), process_start.c (how
 * a process is asked for), process_child.c (the process itself), process.c (the handle: its end, its result, what is sent to it).
 *
 * The maker encodes the argument into the record and asks the family's supervisor for a process; that decodes the argument, is the task
 * (its main task has the task's name and number), and encodes what the function returned. Nobody in the maker's process waits for the end:
 * the supervisor stores it in its own record (struct wefti_process), and the handle learns of it when somebody asks (process.c).
 *
 * The record. Its maker's until the process is asked for; from then on `cancel` is the maker's, `arrived`, `failure`, `result`, `length`
 * and last of all `outcome` (release; pairs with the acquire of process_outcome) are the process's. outcome is 0 until there is a result: a
 * process that ends before has none, and its task is lost. What it says once is true: a process that then dies while it leaves has done its
 * task, and only its exit code tells of that.
 */
#ifndef WEFTI_TASK_PROCESS_H
#define WEFTI_TASK_PROCESS_H

#include "family/family.h"
#include "shared/held.h"
#include "task/function.h"
#include "task/task.h"

enum { WEFTI_TASK_MAKERS = 1, WEFTI_TASK_RUNNERS = 2 };                             /* of a record: who holds it */
enum { WEFTI_TASK_COMING = 0, WEFTI_TASK_ARRIVED = 1, WEFTI_TASK_TURNED_BACK = 2 }; /* arrived */
enum { WEFTI_TASK_LINEAGE = 64, WEFTI_TASK_SMALL = 160 };

struct wefti_task_record {
    uint64_t held;    /* held.h: by its maker and its runner */
    uint32_t cancel;  /* 1: weft_task_cancel came; the process's main task waits for it wherever it sleeps */
    uint32_t arrived; /* whether the process could begin; waited for if `awaited` */
    uint32_t outcome; /* enum weft_outcome; 0: there is no result */
    int32_t failure;  /* errno number why there is no value: the result could not cross, or the process not begin */
    bool awaited, daemon;
    int32_t nice;
    uint64_t ident;
    uint64_t loosened; /* signals that are not blocked in it although they are in its starter */
    struct wefti_function function;
    char *result;  /* its flat form: `small`, or a block */
    size_t length; /* of it */
    size_t name_size, set_size, argument_size;
    char lineage[WEFTI_TASK_LINEAGE];
    char small[WEFTI_TASK_SMALL];
    char octets[]; /* the name with its zero, the set of processors, the argument's flat form */
};

/* What the parent of a process that was forked tells that one's maker. */
struct wefti_task_fork {
    uint32_t number; /* of the process; minus an errno number when that failed; 0: not yet */
    uint32_t ended;  /* 1 + its status as waitpid gives it; 0: not known */
};

/* In the process that made it; the handle's. */
struct wefti_task_process {
    struct wefti_task_record *record;
    struct wefti_process *process;
    uint16_t member;                /* this process: another's are not this handle's to touch */
    pid_t between;                  /* the parent of one that this process forked, which is to be reaped; 0: there is none */
    struct wefti_task_fork *forked; /* of such a one; the parent's, who shares the page; else NULL */
    bool asked;                     /* to end, by a signal */
    bool unknown;                   /* nobody can say how it ended */
    weft_task *task;
    struct wefti_task_process *next, *previous; /* in `living`; guarded by its latch */
};

static inline uint32_t wefti_task_process_state(const struct wefti_task_process *own)
{
    return __atomic_load_n(&own->process->state, __ATOMIC_ACQUIRE);
}

/* process_record.c */

/* What a holding of a record has as its detail. */
static inline uint64_t wefti_task_record_detail(const struct wefti_task_record *record, uint32_t holder)
{
    return wefti_held_word(wefti_held_ticket(&record->held), holder);
}
/* A record of the task, the function and the argument in it. NULL with EFAULT (they cannot cross), ENOMEM, ESTALE. */
struct wefti_task_record *wefti_task_record_make(const weft_task *task);
/* The process will hold it, too: before that is asked for. */
void wefti_task_record_give(struct wefti_task_record *record, struct wefti_process *process);
/* The maker lets go. `alone`: no process runs it any more, or ever. */
void wefti_task_record_leave(struct wefti_task_record *record, bool alone);

/* process_child.c */

/* The process, as main(): its exit status. */
int wefti_task_child_main(struct wefti_process *self);
/* Says that it begins, or (an errno number) why it cannot. */
void wefti_task_child_arrive(struct wefti_task_record *record, int error);

/* process_start.c */

/* Begins the family if need be, and settles the method. -1 with errno. */
int wefti_task_process_method(weft_task *task);
/* Has the process made. True: it runs, or did. False with errno; *alone: and never ran. */
bool wefti_task_process_run(weft_task *task, struct wefti_task_process *own, bool *alone);
/* Of one that has ended: the parent in between is gone, or about to be. Its word about how its child ended is there. */
void wefti_task_process_reap(struct wefti_task_process *own);
/* How it ended is not asked any more. */
void wefti_task_process_forget(struct wefti_task_process *own);

#endif
