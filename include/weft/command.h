/* SPDX-License-Identifier: MIT */
/*
 * A command: another program run as a child, talked to, waited for, stopped with all that it started.
 *
 * The parent's memory is not copied; a start costs the same in a small program and a large one. Every descriptor that is not asked for is
 * closed in the child. Signal dispositions are the default there and the mask is empty. Nothing here installs a SIGCHLD handler or waits
 * for any child but its own; a host that ignores SIGCHLD or waits for every child itself loses nothing but, on kernels before 6.15, the
 * status (see `unknown`).
 *
 * Any number of tasks may wait for one command, signal it and stop it at once. Its streams, and communicate, are one task's at a time.
 *
 * What it takes to stop a tree. A command with a time limit has a small process beside it, the stopper, which shares this process's memory
 * and nothing else: all that the command starts remains a descendant of the stopper, also what calls setsid or forks twice, and is stopped
 * without exception. Commands that end with this process (`end_with_us`) share one such process, the guardian, which finds by parent links,
 * and by group and session where they are the command's own, what belongs to them. Neither is a child that the host's SIGCHLD or
 * waitpid(-1) would see.
 */
#ifndef WEFT_COMMAND_H
#define WEFT_COMMAND_H

#include <sys/types.h>
#include <weft/base.h>
#include <weft/value.h>

typedef struct weft_command weft_command;

/* Where a stream of the command goes. Zero: inherited from this process. */
enum weft_redirection_kind {
    WEFT_INHERIT = 0,
    WEFT_PIPE = 1, /* to this process: weft_command_communicate, or the descriptor weft_command_stream gives */
    WEFT_NULL = 2, /* /dev/null */
    WEFT_FILE = 3, /* the file `path`, opened from this process's directory: read for stdin, else made and cut (`append`: kept) */
    WEFT_FD = 4,   /* the descriptor `fd`, which stays yours */
    WEFT_MERGE = 5 /* stderr only: where stdout goes */
};

struct weft_redirection {
    enum weft_redirection_kind kind;
    int fd;
    const char *path;
    bool append;
};

/* How a command ended. */
struct weft_command_status {
    int exitcode;        /* its exit status, or minus the signal that ended it */
    bool timed_out;      /* its time limit stopped it */
    bool unknown;        /* the host took the status before Weft could (or somebody killed the stopper): exitcode is -1 */
    bool dumped;         /* it left a core */
    double seconds;      /* from start to end by the clock; without a time limit to the moment at which the end was noticed */
    double user_seconds; /* processor time of it and what it waited for */
    double system_seconds;
    long peak_kilobytes;  /* the largest resident size */
    uint64_t reserved[2]; /* 0 */
};

struct weft_command_options {
    size_t size;             /* set by the macro */
    const char *const *argv; /* NULL-ended; argv[0] is looked for in the PATH that the command gets unless it has a slash */
    struct weft_guard *guard;
    weft_time deadline; /* of weft_command_run, which sets it */
    struct weft_guard *run_guard;
    bool shell; /* argv[0] is a line for /bin/sh -c; what follows it becomes $0, $1 ... */
    struct weft_redirection standard_input, standard_output, standard_error;
    const char *directory;              /* working directory */
    const char *const *environment;     /* NULL-ended "NAME=value"; NULL: this process's */
    const char *const *environment_add; /* NULL-ended "NAME=value" put on top of it; "NAME" takes it away */
    double time_limit;    /* seconds; then it and everything it started is stopped, also what called setsid. 0: none. Implies end_with_us */
    int stop_signal;      /* sent first, to all of the tree, at the limit and by terminate; 0: SIGTERM */
    double stop_grace;    /* seconds between stop_signal and SIGKILL; 0: 0.5 */
    bool new_session;     /* setsid in the child */
    bool new_group;       /* its own process group */
    bool end_with_us;     /* it and what it started is killed when this process dies, however it dies */
    int nice;             /* added to the niceness; where that is not allowed the start fails with EACCES or EPERM */
    weft_value input;     /* for weft_command_run: str or bytes for its stdin, borrowed; none: stdin as standard_input says */
    size_t capture_limit; /* octets that communicate keeps of each stream; what comes beyond is read and dropped; 0: no limit */
};

WEFT_BEGIN

/*
 * Starts argv: weft_command_start(argv, .standard_output = {.kind = WEFT_PIPE}, .time_limit = 2.5). Yours: weft_command_free. From any kind
 * of task. NULL with ENOENT, EACCES, ENOTDIR ... (what exec said), the error of opening a file or the directory, EBADF (WEFT_FD of no
 * descriptor), EINVAL (no argv, a stream that makes no sense, a negative time or NaN, no such signal), EMFILE, EAGAIN, ENOMEM. Nothing runs
 * then. A file without a known format is run by /bin/sh, as execvp does.
 */
WEFT_API weft_command *weft_command_start_with(const struct weft_command_options *options) WEFT_WARN_UNUSED;
#define weft_command_start(...) \
    weft_command_start_with(&(struct weft_command_options){.size = sizeof(struct weft_command_options), .argv = __VA_ARGS__})
/* Its process id. After the end it may be another's. */
WEFT_API pid_t weft_command_pid(const weft_command *command);
/* The descriptor of this process's end of a WEFT_PIPE stream (0, 1, 2 of the command), borrowed; non-blocking, close-on-exec. -1 with
 * EINVAL. */
WEFT_API int weft_command_stream(weft_command *command, int stream);
/* Closes this process's end of a stream. -1 with EINVAL. */
WEFT_API int weft_command_close(weft_command *command, int stream);
/* Writes all of it to the command's stdin. -1 with EPIPE (never SIGPIPE), EINVAL, ETIMEDOUT, ECANCELED, EAGAIN; *written (may be NULL) says
 * how much went. */
WEFT_API int weft_command_write(weft_command *command, const void *data, size_t length, size_t *written, weft_time deadline);
/* Reads what there is of stdout (1) or stderr (2), at least an octet; 0 at the end; -1 with EINVAL, EAGAIN, ETIMEDOUT, ECANCELED. */
WEFT_API ssize_t weft_command_read(weft_command *command, int stream, void *buffer, size_t size, weft_time deadline);
/*
 * Feeds `input` (str or bytes, or none; borrowed), reads stdout and stderr to their end without deadlock at any size, and waits for the
 * command. *output and *error get bytes, yours (none where the stream is no pipe); each may be NULL. When the command itself has ended,
 * what its pipes then hold is taken, and a child of it that keeps them open is not waited for. 0; -1 with ETIMEDOUT, EAGAIN, ECANCELED
 * (call it again with the same input to go on: nothing is lost), ENOMEM, EINVAL (input that is no str or bytes, or for a stdin that is no
 * pipe). The streams are closed then; asked once more, it gives empty bytes.
 */
WEFT_API int weft_command_communicate(weft_command *command, weft_value input, weft_value *output, weft_value *error, weft_time deadline);
/* Waits for the end of the command itself, not of what it left behind. status may be NULL. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED. Any
 * number of times. */
WEFT_API int weft_command_wait(weft_command *command, struct weft_command_status *status, weft_time deadline);
/* Sends a signal to the command's process (not to what it started). -1 with ESRCH when it has ended, EINVAL. */
WEFT_API int weft_command_signal(weft_command *command, int signal);
/*
 * Stops it and everything it started: stop_signal to all, after stop_grace SIGKILL; returns when nothing is left. A command that has ended
 * by itself is 0, and what it left behind is left alone. Without a time limit, what has lost its parent and left the command's group is not
 * found. From any kind of task. 0; -1 with ETIMEDOUT, EAGAIN, ECANCELED (the signals that were due have been sent; call again to go on),
 * ENOMEM, EMFILE.
 */
WEFT_API int weft_command_terminate(weft_command *command, weft_time deadline);
/* The same with SIGKILL at once. */
WEFT_API int weft_command_kill(weft_command *command, weft_time deadline);
/*
 * Ends the handle; a command that still runs goes on, unwatched (but for its time limit and end_with_us), and is waited for by a later
 * start or free. NULL is allowed. Keeps errno.
 */
WEFT_API void weft_command_free(weft_command *command);

struct weft_command_result {
    struct weft_command_status status;
    weft_value output, error; /* bytes, yours; none where the stream was directed elsewhere */
};

/*
 * Runs a command to its end in one call: weft_command_run(weft_argv("sort", "-n"), &result, WEFT_FOREVER, .input = text). With a result,
 * stdout and stderr are captured unless the options direct them elsewhere; without (NULL) they are inherited. From any kind of task.
 * 0 when the command has ended, whatever its status; -1 as weft_command_start, or with EAGAIN (WEFT_NOW), ETIMEDOUT, ECANCELED, ENOMEM: it
 * has been stopped as weft_command_kill does, and *result is untouched.
 */
WEFT_API int weft_command_run_with(const struct weft_command_options *options, struct weft_command_result *result);
#define weft_command_run(argv_, result_, ...) \
    weft_command_run_with(                    \
        &(struct weft_command_options){.size = sizeof(struct weft_command_options), .argv = (argv_), .deadline = __VA_ARGS__}, (result_))

/* weft_argv("ls", "-l"): a list of arguments with its ending NULL, alive until the end of the enclosing block. */
#define weft_argv(...) ((const char *const[]){__VA_ARGS__, NULL})

WEFT_END

#endif
