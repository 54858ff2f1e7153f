/* SPDX-License-Identifier: MIT */
/* The family: processes that share an arena, and the supervisor that makes them, sees them die, and ends them with the first. */
#ifndef WEFTI_FAMILY_H
#define WEFTI_FAMILY_H

#include "shared/held.h"
#include "shared/life.h"

enum wefti_process_state {
    WEFTI_PROCESS_NEW,
    WEFTI_PROCESS_RUNS,
    WEFTI_PROCESS_ENDED,  /* status says how */
    WEFTI_PROCESS_REFUSED /* error says why: it never ran */
};

/* Who holds a record. */
enum { WEFTI_PROCESS_MAKERS = 1, WEFTI_PROCESS_SUPERVISORS = 2 };

/* A process of the family, in the arena. Its maker's until it is asked for; then the supervisor writes it, but for `held`. */
struct wefti_process {
    uint32_t state; /* waited for */
    int32_t pid;
    uint64_t held; /* held.h: by its maker and the supervisor */
    int32_t error;
    int32_t status; /* as waitpid gives it; of one whose status nobody could be told, that of SIGKILL */
    uint32_t seat;
    int (*main)(struct wefti_process *self); /* runs in it; what it returns is the exit status */
    void *data;                              /* its maker's, for `main` */
    struct wefti_holding born;               /* what the process holds from when it is asked for; written by its maker before that */
    /* octets: the most memory that it had, or a child that it waited for, since it was made or reset that (clear_refs); 0: unknown */
    uint64_t peak;
    uint32_t creation_mask; /* umask */
    uint32_t closed;        /* bit i: its maker has not the descriptor i, of the first three, and so it is not to have it */
    uint32_t given;         /* 1 + a descriptor that it gets beside the first three: its maker's number of it, then its own; 0: none */
    uint64_t signals;       /* the signal mask it begins with */
    uint64_t claim;         /* claim.c: its ticket, and in whose seat it is met */
    uint64_t maker;         /* below.h: who made it; constant */
};

/*
 * Makes this process the first of a family, with a supervisor: once, before there are other threads. 0, also when it was done before; -1
 * with EBUSY (other threads live, or did when it began: a copy of this process would be without them), EAGAIN, ENOMEM, EMFILE, and what the
 * arena's first use says.
 */
int wefti_family_begin(void);
/*
 * The same, also when there are other threads: then wefti_family_threaded is true, in all its processes, and these may do nothing but
 * become another image (execve). A host sees the signal of one child that ends.
 */
int wefti_family_begin_threaded(void);
extern bool wefti_family_threaded __attribute__((visibility("hidden")));
/* Whether this process has threads besides the one that calls. */
bool wefti_threads_live(void);

/* A process that can be asked for, held by the caller. A maker that dies lets go. NULL with ESTALE (this process is no member), ENOMEM. */
struct wefti_process *wefti_process_new(int (*main)(struct wefti_process *self), void *data);
void wefti_process_let_go(struct wefti_process *process);

/*
 * Asks for it: a copy of what this process was when the family began, with the present working directory, umask, signal mask and the first
 * three descriptors. Not ended by cancellation. 0 when it runs; -1 with EAGAIN (no seat, or the system has no room), EPIPE (supervisor and
 * spare are both dead), ESTALE (this process is no member), EPERM (its users, groups or capabilities are not those that the family began
 * with), EMFILE.
 */
int wefti_process_start(struct wefti_process *process);
/*
 * The same for what is the library's own business, and runs nothing of the program's: whatever users, groups and capabilities the caller
 * has by now, it has those that the family began with.
 */
int wefti_process_start_errand(struct wefti_process *process);

/*
 * The same for a process that the caller has forked itself and that waits: it gets a seat, and is watched. It then calls
 * wefti_process_join. Its exit status can be told only if whoever its parent is has reaped it. 0; -1 as wefti_process_start.
 */
int wefti_process_adopt(struct wefti_process *process, int pidfd);
/* In that process: waits until it has a seat, and takes it; the ticket is the record's, looked up before the fork, as that may be gone. 0;
 * -1 with EPIPE, ECANCELED (it was refused). */
int wefti_process_join(struct wefti_process *process, uint64_t ticket);

/*
 * Waits for its end, then gives its status. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED, EPIPE (supervisor and spare died: nobody can say),
 * EINVAL (it was not started).
 */
int wefti_process_wait(struct wefti_process *process, int *status, weft_time deadline);

/*
 * Called in a process that is forked before anybody has asked for it, or NULL: touches what its main will touch. Set by a floor above when
 * the library is loaded.
 */
extern void (*wefti_process_warm)(void) __attribute__((visibility("hidden")));

/*
 * Handlers are the program's, and what they need is not in a process of the family: they are reset, as in a new image; ignored signals stay
 * ignored. While all are blocked, or one could be called before.
 */
void wefti_handlers_reset(void);
/*
 * Who waits for children has to heed their ends: where SIGCHLD is ignored, or they leave no zombies, the kernel keeps no status for him.
 * From here on that is so; whether it was ignored, as his children then do.
 */
bool wefti_children_heed(void);
void wefti_children_ignore(bool ignored);

/*
 * The lives of supervisor and spare, as far as they have begun and last, as items to wait for, of which each ends when its keeper dies:
 * WEFTI_KEEPERS at most. 0: both are dead, and with them all processes that they had made, and nobody mends what these left. By a member.
 */
struct wefti_item;
unsigned wefti_family_watch(struct wefti_item *items);

/* Private to the floor. */
struct wefti_supervisor_start {
    int requests; /* its end of the socket */
    int asking;   /* the other, for the processes it makes */
    int root;     /* a pidfd */
};
/* The supervisor: does not return. */
_Noreturn void wefti_supervisor_run(struct wefti_family *family, const struct wefti_supervisor_start *start);

/* A request: goes with its descriptors. */
struct wefti_request {
    struct wefti_process *process;
    uint64_t ticket;
    uint64_t adopt; /* 1: it runs already, and its pidfd is what goes with this */
};

#endif
