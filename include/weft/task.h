/* SPDX-License-Identifier: MIT */
/*
 * A task is a function being run: as a coroutine, a thread, a process or on another machine. One handle and one set of verbs serves
 * all; which it is, is one word.
 *
 * A task as a process (WEFT_PROCESS). The first one begins the program's family: a small process of Weft's own, which has then seen the
 * program as it was at that moment, and makes every further one from that. So a process costs the same however large the program has grown
 * and however many threads it has; it sees the program's memory as it was when the family began, and besides only its argument and shared
 * memory (<weft/shared.h>). That first use comes before the program has other threads, else it fails with EBUSY: begin early, or call
 * weft_init first thing in main, and late comers are fresh images.
 *
 * Argument and result cross as copies. A pointer crosses if it is into shared memory, or NULL; another fails the call with EFAULT, and a
 * result that has one becomes an error value of EFAULT. In the process weft_current and weft_main are this task (its name, number, kind);
 * there are no tasks, task-local pointers, shields or deadlines of its starter's. It begins with the working directory, umask, signal mask
 * (but for SIGTERM and what weft_signals objects wait for, which are not blocked) and first three descriptors of its starter, and no
 * others; signal handlers are reset, ignored signals stay ignored. When its function has returned, the result is told, non-daemonic tasks
 * of its own are joined, its pools finish, and it ends without calling the program's exit handlers. A process that ends in another way
 * (exit, _exit, a signal) has no result: its task is WEFT_LOST, and its result an error value of EOWNERDEAD whose text names the task, the
 * pid and the signal or status. All processes end with the first one of the program, however that ends. To the program they are no
 * children: wait() sees none. What a process forks by itself, by fork(2) or system(3), is not among them: it outlives both, as it would
 * without Weft (but not the stopping of a pool's task: pool.h); when the function returns in such a copy, that ends, with 0, or 1 for an
 * error value, and nobody is told the result.
 */
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <weft/base.h>
#include <weft/select.h>
#include <weft/value.h>

enum weft_task_kind { WEFT_THREAD = 1, WEFT_COROUTINE = 2, WEFT_PROCESS = 3, WEFT_FLEET = 4 };

enum weft_task_state { WEFT_INITIAL = 0, WEFT_STARTED = 1, WEFT_STOPPED = 2 };

/* How a task or a future ended. */
enum weft_outcome {
    WEFT_PENDING = 0,   /* not yet */
    WEFT_DONE = 1,      /* it returned a value that is no error */
    WEFT_FAILED = 2,    /* it returned an error value */
    WEFT_CANCELLED = 3, /* it was cancelled: before it began, or it returned an error of ECANCELED after weft_task_cancel */
    WEFT_TIMED_OUT = 4, /* its time limit stopped it */
    WEFT_LOST = 5       /* what ran it died */
};

/* Where the process of a process task comes from. */
enum weft_process_method {
    WEFT_ZYGOTE = 0, /* a copy of what the program was when its family began */
    /*
     * A copy of what it is now, made by fork(2), all descriptors included; stdio is flushed first. EBUSY while other threads live, the
     * library's own among them: a pool, of processes too, has some where it was made until it is shut down or freed, and what weft_offload
     * has done (name look-ups, files) leaves one for a moment. Two processes are forked: the other waits for the end of the first, and
     * holds nothing.
     */
    WEFT_FORK = 1,
    WEFT_SPAWN = 2 /* a fresh image of the program: needs weft_init first thing in main, else ENOSYS */
};

typedef struct weft_task weft_task;

struct weft_spawn_options {
    size_t size; /* set by the macros: sizeof(struct weft_spawn_options) */
    enum weft_task_kind kind;
    weft_function *function;
    weft_value argument;
    struct weft_guard *guard;
    const char *name;  /* copied; default "Thread-1", "Thread-2" ...; "Process-1", and "Process-1:1" for the first that this starts */
    bool daemon;       /* not joined when the program exits; a process is killed then */
    size_t stack_size; /* bytes; 0: the default of the kind */
    const char *cpus;  /* the processors it may use, as taskset has them: "0-3,8,10-20:2"; NULL: those that its starter may use */
    int nice;          /* added to the niceness of its starter, from -39 to 39, as nice(2) does */
    enum weft_process_method method; /* of a process */
    bool
        insist; /* WEFT_FORK also while other threads live, whose locks nobody will open in the copy; wait() then sees the second process */
};

WEFT_BEGIN

/*
 * First thing in main, for programs that use WEFT_SPAWN, or whose first process task may come when they have threads. In a process that is
 * such a task it does not return; else it starts nothing, and returns 0. The arguments are for later versions. The variable WEFT_SPAWN of
 * the environment is the library's.
 */
WEFT_API int weft_init(int argc, char **argv);

/*
 * Makes a task without starting it. The argument is given away on success. The handle is yours: weft_task_free.
 * weft_task_new(kind, function, argument, .name = ..., .daemon = ..., .stack_size = ..., .cpus = ..., .nice = ..., .method = ...,
 *     .insist = ...)
 * From any task. NULL with EINVAL (no function, unknown kind or method, a name longer than 255 bytes, cpus that are no list, nice out of
 * range), ENOTSUP (a kind that this build does not have), ENOMEM. The calls below take NULL for a task that was never started: what can
 * fail says EINVAL.
 */
WEFT_API weft_task *weft_task_new_with(const struct weft_spawn_options *options) WEFT_WARN_UNUSED;
#define weft_task_new(kind_, function_, ...)         \
    weft_task_new_with(&(struct weft_spawn_options){ \
        .size = sizeof(struct weft_spawn_options), .kind = (kind_), .function = (function_), .argument = __VA_ARGS__})

/* Makes a task and starts it; the same options. NULL as weft_task_new and weft_task_start: the argument is then still yours. */
WEFT_API weft_task *weft_spawn_with(const struct weft_spawn_options *options) WEFT_WARN_UNUSED;
#define weft_spawn(kind_, function_, ...)         \
    weft_spawn_with(&(struct weft_spawn_options){ \
        .size = sizeof(struct weft_spawn_options), .kind = (kind_), .function = (function_), .argument = __VA_ARGS__})

/*
 * Starts a task. From any task. -1 with EALREADY (it was started before), EAGAIN or ENOMEM (the system has no room), EINVAL (none of its
 * cpus is there, or allowed to this process; those that are not are left out when others are; a stack_size that cannot be), EACCES or EPERM
 * (a nice below 0 without the right to it), ENOTSUP (cpus or nice of a coroutine, which runs on the thread that starts it: coroutine.h).
 * Its function has not been called then, and it can be tried again. Of a process also with EFAULT (the argument has a pointer to private
 * memory, or the function is in no module), ENOEXEC (the function's module is not loaded in the process: the program loaded it after its
 * family began), EBUSY (the family would begin now, and other threads live: see above, and WEFT_FORK), ENOSYS (WEFT_SPAWN without
 * weft_init), EPERM (this process has changed users, groups or capabilities since the family began), ESTALE (a child that the program
 * forked itself: it is no member), EBADF (this process has closed descriptors that are the library's, by close_range for one), EMFILE,
 * EPIPE (those who look after the family were killed, both at once), and what the first use of shared memory says.
 */
WEFT_API int weft_task_start(weft_task *task);

/*
 * Waits until the task has ended. Any number of tasks may join one, any number of times. From any kind of task.
 * 0 when it has ended; -1 with EDEADLK (oneself), EINVAL (not started), EAGAIN, ETIMEDOUT, ECANCELED (the caller was cancelled).
 */
WEFT_API int weft_task_join(weft_task *task, weft_time deadline);

/* Waits for the end as weft_task_join does, then gives what the function returned (an error value included) in *value, which is yours;
 * NULL for value is allowed. Returns and errors of weft_task_join; *value is untouched on failure. A result that nobody asked for and
 * that is an error goes to the hook of weft_on_uncollected when the last handle is freed; that of a lost process too, unless it was
 * stopped through its handle. Of a process each caller gets a copy of his own: also ENOMEM. */
WEFT_API int weft_task_result(weft_task *task, weft_value *value, weft_time deadline);

/*
 * For weft_select: ready when the task has ended; what its function returned is written to *value as weft_task_result does (NULL is
 * allowed). Errors: EINVAL (not started), EDEADLK (oneself).
 */
WEFT_API weft_case weft_case_task(weft_task *task, weft_value *value);

/* How it ended; WEFT_PENDING while it has not. Any task; cannot fail. */
WEFT_API enum weft_outcome weft_task_outcome(const weft_task *task);
WEFT_API enum weft_task_state weft_task_state_of(const weft_task *task);
/* Started and not ended. Any task; cannot fail. */
WEFT_API bool weft_task_is_alive(const weft_task *task);
/*
 * -1 until it has ended; then 0, or 1 when it returned an error value; of a process its exit status (what it gave to exit, if it did), or
 * minus the signal that killed it. Any task; cannot fail.
 */
WEFT_API int weft_task_exitcode(const weft_task *task);

/* Borrowed, valid while the handle is (until the next weft_task_set_name). Any task; cannot fail. */
WEFT_API const char *weft_task_name(const weft_task *task);
/*
 * Renames it (copied). The kernel's name of its thread, which ps, top and gdb show, is that of the task, cut to 15 bytes but never inside a
 * character of UTF-8; a thread that Weft did not start keeps its own until it is renamed here. -1 with EINVAL (longer than 255 bytes),
 * ENOMEM.
 */
WEFT_API int weft_task_set_name(weft_task *task, const char *name);
/* A number that no other task of this program has; 0 before the start. Any task; cannot fail. */
WEFT_API uint64_t weft_task_ident(const weft_task *task);
/*
 * The kernel's thread id (of a process its pid), for sched_setaffinity, setpriority and their like; 0 before the start. Any task; cannot
 * fail.
 */
WEFT_API int weft_task_native_id(const weft_task *task);
WEFT_API bool weft_task_daemon(const weft_task *task);
WEFT_API enum weft_task_kind weft_task_kind_of(const weft_task *task);

/*
 * Asks the task to end: from now on each wait of it fails with ECANCELED, except inside weft_shield. Sticky, and harmless when it has
 * ended. A task that was not started ends at once as WEFT_CANCELLED, its function never called. Any task; cannot fail.
 */
WEFT_API void weft_task_cancel(weft_task *task);
/*
 * Stops it: a thread or coroutine as weft_task_cancel, a process by SIGTERM. 0, also when it has ended: no later process of that number is
 * hit; one that was not started ends as by weft_task_cancel. -1 with EMFILE, ENFILE (a process is signalled through a descriptor), EPERM
 * (it or the caller is another user by now). Any task.
 */
WEFT_API int weft_task_terminate(weft_task *task);
/* Stops it without asking: a process by SIGKILL, as weft_task_terminate. -1 with ENOTSUP: a thread or coroutine cannot be. */
WEFT_API int weft_task_kill(weft_task *task);
/* Whether the current task has been cancelled (inside weft_shield too): for long computations that never wait. Any task; cannot fail. */
WEFT_API bool weft_cancelled(void);

/* One more owner of the handle; each ends with weft_task_free. Returns task. Any task; cannot fail. */
WEFT_API weft_task *weft_task_keep(weft_task *task);
/* Ends this handle (NULL is allowed); the task itself goes on. Any task; cannot fail. */
WEFT_API void weft_task_free(weft_task *task);

/*
 * "<Thread(LoopThread, started)>", with initial, started or stopped, and "daemon" after it where it is one; written as snprintf does:
 * returns the length it has or would have had. Any task; cannot fail.
 */
WEFT_API int weft_task_repr(const weft_task *task, char *buffer, size_t size);

/*
 * The task that calls; borrowed. A thread that Weft did not start gets a handle at its first call ("Dummy-1", a daemon). It may do all that
 * a task may, and be waited for and cancelled; when it ends, in whatever way, the handle is stopped and done, without a result, and its
 * task-local pointers are destroyed. Only pthread_cancel must not hit it inside a call of Weft. NULL with ENOMEM only.
 */
WEFT_API weft_task *weft_current(void);
/* The task of the program's first thread, "MainThread"; borrowed. */
WEFT_API weft_task *weft_main(void);
/*
 * The tasks that are alive, the caller's included, in the order in which they were started (or first met): writes up to `room` of them to
 * `tasks`, each a handle of yours to free, and returns how many there are. Any task; cannot fail.
 */
WEFT_API size_t weft_tasks(weft_task **tasks, size_t room);
/* How many are alive, the program's main task included. Any task; cannot fail. */
WEFT_API size_t weft_active_count(void);

/*
 * Waits until the deadline. 0 when it has come; -1 with ECANCELED, or ETIMEDOUT when that of a weft_deadline came before. From any kind
 * of task.
 */
WEFT_API int weft_sleep_until(weft_time deadline);
/* Waits so many seconds: weft_sleep_until(weft_in(seconds)). */
WEFT_API int weft_sleep(double seconds);
/* Lets others run: the thread's other coroutines, in turn, or other threads. Any task; cannot fail. */
WEFT_API void weft_yield(void);
/*
 * How many processors this process may use: those in the caller's affinity mask, or fewer where its cgroup or one above it (version 1 or 2)
 * limits their time, the limit rounded up (1.5 processors are 2); at least 1. Looked up at each call, in some files. Any task; cannot fail.
 */
WEFT_API unsigned weft_cpu_count(void);

/*
 * weft_shield { ... }: waits inside the block are not ended by cancellation of the task. Left in any way but longjmp, it ends.
 */
struct weft_shield_scope {
    bool inside;
};
WEFT_API struct weft_shield_scope weft_shield_begin(void);
WEFT_API void weft_shield_end(struct weft_shield_scope *scope);
#define weft_shield_(name_) \
    for (struct weft_shield_scope name_ __attribute__((cleanup(weft_shield_end))) = weft_shield_begin(); name_.inside; name_.inside = false)
#define weft_shield weft_shield_(WEFT_PASTE(weft_shield_, __COUNTER__))

/*
 * Task-local storage: one pointer per task and key. All-zero is ready: static weft_local name = WEFT_LOCAL(free);
 * The destructor is called in a task that ends, with each pointer that is not NULL, in no stated order.
 */
typedef struct weft_local {
    uint32_t key; /* the library's: given at the first use */
    uint32_t reserved;
    void (*destroy)(void *pointer);
} weft_local;
/* clang-format off */
#define WEFT_LOCAL(destroy_) {0, 0, (destroy_)}
/* clang-format on */
/* The pointer of the current task, or NULL. Any task; cannot fail. */
WEFT_API void *weft_local_get(weft_local *local);
/* Sets it; the pointer that was there is not destroyed. -1 with ENOMEM. */
WEFT_API int weft_local_set(weft_local *local, void *pointer);

/*
 * A failure nobody collects: an error value that a task or future ended with and that nobody read, or a callback that failed. By
 * default they are only counted. The hook is called on the task that noticed, with a text that names what failed; it must not block.
 */
typedef void weft_uncollected_hook(const char *what, weft_value error, void *data);
/* Installs the hook; NULL takes it away. Any task; cannot fail. */
WEFT_API void weft_on_uncollected(weft_uncollected_hook *hook, void *data);
WEFT_API uint64_t weft_uncollected_count(void);

WEFT_END

#endif
