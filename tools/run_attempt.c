/* SPDX-License-Identifier: MIT */
/*
 * See run_attempt.h. This is the one place that waits for descriptors: a job's two pipes, its end, the end of the whole.
 *
 * Most jobs are short and write little. So the end alone is waited for during the first moments: a short job then costs one wake-up instead
 * of one for each pipe that it closes. What fills a pipe earlier waits that moment once. When the process has ended, what its pipes hold at
 * that moment is read and they are closed: a child of it that still writes is not waited for.
 */
#include "run_attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "complain.h"
#include "run_report.h"
#include "run_why.h"

enum { READ_SIZE = 65536, SHORT_MILLISECONDS = 3, EXIT_CANNOT_EXECUTE = 126, EXIT_NOT_FOUND = 127 };
static const double limit_unknown = 1e8; /* seconds: prepares for stopping a tree, at a time that is not known yet */

/* What poll waits for, by place. */
enum { WAIT_END, WAIT_ABORT, WAIT_KICK, WAIT_OUT, WAIT_ERR, WAIT_IN, WAIT_COUNT };

/* A command that runs. */
struct running {
    struct weft_command *command;
    weft_time started;
    bool gone; /* it had ended before it could be watched */
    struct pollfd waits[WAIT_COUNT];
};

int run_attempt_begin(struct run_attempt *attempt)
{
    attempt->buffer = memory_get(READ_SIZE);
    attempt->kick = attempt->input = -1;
    run_stream_begin(&attempt->streams[0]);
    run_stream_begin(&attempt->streams[1]);
    snprintf(attempt->host, sizeof attempt->host, "PARALLEL_PID=%d", (int)getpid());
    bool kicked = attempt->limit->share > 0 || attempt->options->memfree;
    if (kicked)
        attempt->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return kicked && attempt->kick < 0 ? -1 : 0;
}

void run_attempt_end(struct run_attempt *attempt)
{
    free(attempt->buffer);
    run_words_free(&attempt->words);
    run_wrap_free(&attempt->wrap);
    text_free(&attempt->procs);
    text_free(&attempt->slot_variable);
    run_stream_end(&attempt->streams[0]);
    run_stream_end(&attempt->streams[1]);
    if (attempt->kick >= 0)
        close(attempt->kick);
}

/* Starts the words, with an end of a pipe each for stdout, stderr and stdin; -1: where this process's own go, and nothing to read. */
static struct weft_command *start_words(struct run_attempt *attempt, const struct run_job *job, const int ends[3])
{
    const char *environment[] = {
        attempt->sequence, attempt->slot, attempt->host, attempt->mark, "PARALLEL_SSHHOST=:", "PARALLEL_SSHLOGIN=:", NULL, NULL, NULL};
    const char **more = environment + 6;
    if (attempt->slot_variable.length)
        *more++ = attempt->slot_variable.at;
    *more = attempt->flags;
    enum weft_redirection_kind kind = ends[0] < 0 ? WEFT_INHERIT : WEFT_FD;
    double seconds = attempt->limit->share > 0 ? limit_unknown : attempt->limit->seconds;
    return weft_command_start(run_wrap_words(&attempt->wrap, attempt->words.argv),
        .standard_input = {.kind = ends[2] < 0 ? WEFT_NULL : WEFT_FD, .fd = ends[2]}, .standard_output = {.kind = kind, .fd = ends[0]},
        .standard_error = {.kind = kind, .fd = ends[1]}, .environment_add = environment, .time_limit = seconds, .new_group = true,
        .directory = job->directory.length ? job->directory.at : NULL, .end_with_us = true, .nice = attempt->options->nice);
}

static bool is_shortage(int error)
{
    return error == EAGAIN || error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* Whether the program that the words name can be looked at from here: not when it is named from another directory. */
static bool is_plain_program(struct run_attempt *attempt, const struct run_job *job)
{
    const char *name = attempt->words.argv[0];
    return (job->directory.length == 0 || *name == '/' || !strchr(name, '/')) && run_program_is_plain(attempt->program, name);
}

/* Starts it directly where that is the same, else by the shell, which also says what is wrong with a program that cannot be executed. */
static struct weft_command *start_line(struct run_attempt *attempt, const struct run_job *job, const int ends[3])
{
    const char *line = text_string(&job->command);
    if (run_shell_split(attempt->shell, line, &attempt->words) && is_plain_program(attempt, job)) {
        struct weft_command *command = start_words(attempt, job, ends);
        if (command || is_shortage(errno))
            return command;
    }
    run_shell_wrap(attempt->shell, line, &attempt->words);
    return start_words(attempt, job, ends);
}

static void close_input(struct run_attempt *attempt)
{
    if (attempt->input >= 0)
        close(attempt->input);
    attempt->input = -1;
}

static struct weft_command *start_command(struct run_attempt *attempt, struct run_job *job)
{
    int ends[3] = {-1, -1, -1};
    struct weft_command *command = NULL;
    snprintf(attempt->sequence, sizeof attempt->sequence, "PARALLEL_SEQ=%llu", (unsigned long long)job->sequence);
    snprintf(attempt->slot, sizeof attempt->slot, "PARALLEL_JOBSLOT=%u", job->slot);
    if (attempt->options->slot_variable) {
        text_clear(&attempt->slot_variable);
        text_format(&attempt->slot_variable, "%s=%u", attempt->options->slot_variable, job->slot - 1);
    }
    bool collects = !attempt->options->ungroup || attempt->options->results;
    for (int i = 0; i < 2 && collects; i++)
        ends[i] = run_stream_open(&attempt->streams[i]);
    if (job->feed.given)
        ends[2] = run_feed_open(&job->feed, &attempt->input);
    if ((!collects || (ends[0] >= 0 && ends[1] >= 0)) && (!job->feed.given || ends[2] >= 0))
        command = start_line(attempt, job, ends);
    int error = errno;
    for (int i = 0; i < 3; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    if (!command)
        close_input(attempt);
    errno = error;
    return command;
}

/* The shell could not be started: the job ends as if a shell had failed to execute it. */
static void job_not_started(struct run_attempt *attempt, struct run_job *job, int error)
{
    if (job->directory.length && access(job->directory.at, X_OK) != 0) {
        job->exitval = EXIT_CANNOT_EXECUTE;
        complain("job %llu: cannot go to %s: %s", (unsigned long long)job->sequence, job->directory.at, strerror(errno));
        return;
    }
    job->exitval = error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
    complain(
        "job %llu: cannot run %s: %s", (unsigned long long)job->sequence, error == E2BIG ? "it" : attempt->shell->path, strerror(error));
}

/* Keeps what came out of a stream. */
static void keep_octets(struct run_attempt *attempt, struct run_job *job, int stream, size_t length)
{
    job->received[stream - 1] += length;
    if (attempt->printer->lines)
        run_printer_lines(attempt->printer, job, stream, (struct span){attempt->buffer, length});
    else if (run_output_add(attempt->spool, &job->outputs[stream - 1], attempt->buffer, length) != 0)
        run_stop_break(attempt->stop);
}

/* Reads what a stream has now. False at its end. */
static bool read_stream(struct run_attempt *attempt, struct run_job *job, int stream)
{
    ssize_t length = run_stream_read(&attempt->streams[stream - 1], attempt->buffer, READ_SIZE);
    if (length > 0)
        keep_octets(attempt, job, stream, (size_t)length);
    return length > 0 || (length < 0 && errno == EAGAIN);
}

/* Reads what a pipe holds when its process has ended; not more than fits into it, for another may go on writing. */
static void drain_stream(struct run_attempt *attempt, struct run_job *job, int stream)
{
    struct run_stream *pipe = &attempt->streams[stream - 1];
    long room = pipe->fd < 0 || pipe->ended ? 0 : fcntl(pipe->fd, F_GETPIPE_SZ);
    while (room > 0) {
        ssize_t length = run_stream_read(pipe, attempt->buffer, READ_SIZE);
        if (length <= 0)
            break;
        keep_octets(attempt, job, stream, (size_t)length);
        room -= length;
    }
    run_stream_leave(pipe);
}

/* How long to wait, for poll: until the time limit, or for the first moments. 0: the limit is reached. */
static int wait_milliseconds(struct run_attempt *attempt, const struct running *running, bool first)
{
    double limit = run_limit_now(attempt->limit);
    if (limit <= 0)
        return first ? SHORT_MILLISECONDS : -1;
    double left = limit * 1e3 - (double)(weft_clock() - running->started) / 1e6;
    if (left <= 0)
        return 0;
    double most = first ? SHORT_MILLISECONDS : 1e9;
    return left < most ? (int)left + 1 : (int)most;
}

static void forget_kick(const struct pollfd *wait)
{
    uint64_t kicks;
    if (wait->revents && read(wait->fd, &kicks, sizeof kicks) < 0)
        return;
}

static void read_streams(struct run_attempt *attempt, struct run_job *job, struct running *running)
{
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
        struct pollfd *wait = &running->waits[stream == STDOUT_FILENO ? WAIT_OUT : WAIT_ERR];
        if (wait->revents && !read_stream(attempt, job, stream))
            wait->fd = -1;
    }
}

/* Writes what the job takes now of what it is to read. */
static void feed_input(struct run_attempt *attempt, struct run_job *job, struct running *running)
{
    if (attempt->input < 0 || run_feed_write(&job->feed, attempt->input, attempt->buffer, READ_SIZE))
        return;
    close_input(attempt);
    running->waits[WAIT_IN].fd = -1;
}

/* Without a descriptor of the process (there was no room for one) it is as good as over when it has closed its pipes. */
static bool is_over(const struct running *running)
{
    return running->waits[WAIT_END].fd < 0 && (running->gone || (running->waits[WAIT_OUT].fd < 0 && running->waits[WAIT_ERR].fd < 0));
}

/* Collects until the process ends (true) or has to be stopped (false). */
static bool collect(struct run_attempt *attempt, struct run_job *job, struct running *running)
{
    feed_input(attempt, job, running);
    for (bool first = attempt->input < 0;; first = false) {
        int milliseconds = wait_milliseconds(attempt, running, first);
        if (milliseconds == 0)
            return false;
        if (is_over(running))
            return true;
        int ready = poll(running->waits, first ? WAIT_OUT : WAIT_COUNT, milliseconds);
        if (ready <= 0)
            continue;
        if (running->waits[WAIT_END].revents)
            return true;
        if (running->waits[WAIT_ABORT].revents)
            return false;
        forget_kick(&running->waits[WAIT_KICK]);
        if (__atomic_load_n(&attempt->evicted, __ATOMIC_RELAXED))
            return false;
        if (running->waits[WAIT_IN].revents)
            feed_input(attempt, job, running);
        if (!first)
            read_streams(attempt, job, running);
    }
}

static void set_pid(struct run_attempt *attempt, pid_t pid, const struct run_job *job)
{
    weft_with (&attempt->lock) {
        attempt->pid = pid;
        attempt->job = job;
        attempt->started = pid ? weft_clock() : 0;
    }
}

weft_time run_attempt_started(struct run_attempt *attempt)
{
    weft_time started = 0;
    weft_with (&attempt->lock)
        started = attempt->started;
    return started;
}

void run_attempt_evict(struct run_attempt *attempt)
{
    uint64_t one = 1;
    __atomic_store_n(&attempt->evicted, 1, __ATOMIC_RELAXED);
    ssize_t written = write(attempt->kick, &one, sizeof one);
    (void)written; /* it is kicked already then */
}

void run_attempt_why(struct run_attempt *attempt, struct text *out)
{
    weft_with (&attempt->lock) {
        if (!attempt->pid)
            break;
        text_format(out, "job %llu, running for ", (unsigned long long)attempt->job->sequence);
        run_report_add_time((double)(weft_clock() - attempt->started) / 1e9, out);
        text_add_string(out, ": ");
        size_t from = out->length;
        text_add(out, text_string(&attempt->job->command), attempt->job->command.length < 200 ? attempt->job->command.length : 200);
        for (size_t i = from; i < out->length; i++)
            if (out->at[i] == '\n')
                out->at[i] = ' ';
        text_add_char(out, '\n');
        run_why_tree(attempt->pid, out);
    }
}

void run_attempt_signal(struct run_attempt *attempt, int signal)
{
    weft_with (&attempt->lock)
        if (attempt->pid)
            kill(-attempt->pid, signal);
}

static void running_begin(struct run_attempt *attempt, struct running *running, const struct run_job *job)
{
    int end = (int)syscall(SYS_pidfd_open, weft_command_pid(running->command), 0);
    running->gone = end < 0 && errno == ESRCH;
    const int descriptors[WAIT_COUNT] = {[WAIT_END] = end,
        [WAIT_ABORT] = attempt->stop->aborting,
        [WAIT_KICK] = attempt->kick,
        [WAIT_IN] = attempt->input,
        [WAIT_OUT] = attempt->streams[0].fd,
        [WAIT_ERR] = attempt->streams[1].fd};
    set_pid(attempt, weft_command_pid(running->command), job);
    for (int i = 0; i < WAIT_COUNT; i++)
        running->waits[i] = (struct pollfd){.fd = descriptors[i], .events = i == WAIT_IN ? POLLOUT : POLLIN};
}

static void take_status(struct run_job *job, const struct weft_command_status *status, bool limited)
{
    job->signal = status->exitcode < 0 && !status->unknown ? -status->exitcode : 0;
    job->exitval = limited || status->timed_out || status->unknown ? -1 : job->signal ? 0 : status->exitcode;
}

/* How what did not end by itself was ended. */
static enum run_attempt_end cause_of_end(struct run_attempt *attempt)
{
    if (run_stop_state(attempt->stop) == RUN_ABORTING)
        return RUN_ATTEMPT_STOPPED;
    return __atomic_exchange_n(&attempt->evicted, 0, __ATOMIC_RELAXED) ? RUN_ATTEMPT_EVICTED : RUN_ATTEMPT_ENDED;
}

/* Sees it to its end, which comes by itself, by the time limit, or because it is stopped. */
static enum run_attempt_end run_to_end(struct run_attempt *attempt, struct run_job *job, struct running *running)
{
    struct weft_command_status status = {0};
    bool by_itself = collect(attempt, job, running);
    close_input(attempt);
    set_pid(attempt, 0, NULL);
    enum run_attempt_end end = by_itself ? RUN_ATTEMPT_ENDED : cause_of_end(attempt);
    if (!by_itself)
        weft_command_terminate(running->command, WEFT_FOREVER);
    weft_command_wait(running->command, &status, WEFT_FOREVER);
    job->runtime = (double)(weft_clock() - running->started) / 1e9;
    drain_stream(attempt, job, STDOUT_FILENO);
    drain_stream(attempt, job, STDERR_FILENO);
    take_status(job, &status, !by_itself);
    return end;
}

static double seconds_since_1970(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Makes a job's directory, and those above it. Where that fails, starting the job does, and says why. */
static void make_directory(struct text *path)
{
    if (path->length == 0 || access(path->at, F_OK) == 0)
        return;
    for (char *slash = strchr(path->at + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path->at, 0777);
        *slash = '/';
    }
    mkdir(path->at, 0777);
}

/* Forgets the try before: but what is printed line by line is printed. */
static void job_begin(struct run_attempt *attempt, struct run_job *job)
{
    for (int i = 0; i < 2; i++) {
        if (!attempt->printer->lines)
            run_output_drop(attempt->spool, &job->outputs[i]);
        job->received[i] = 0;
    }
    __atomic_store_n(&attempt->evicted, 0, __ATOMIC_RELAXED);
    job->start = seconds_since_1970();
    job->runtime = 0;
    job->exitval = job->signal = 0;
}

/* Makes the cgroup of a job and leads its shell there. -1: that failed, and the job with it. */
static int enter_cgroup(struct run_attempt *attempt, struct run_job *job)
{
    if (!attempt->memory->limit)
        return 0;
    if (run_memory_enter(attempt->memory, job->sequence, &attempt->procs) != 0) {
        complain("job %llu: cannot limit its memory: %s", (unsigned long long)job->sequence, strerror(errno));
        job->exitval = EXIT_CANNOT_EXECUTE;
        return -1;
    }
    run_wrap_set(&attempt->wrap, 0, attempt->procs.at);
    return 0;
}

static void leave_cgroup(struct run_attempt *attempt, const struct run_job *job)
{
    if (attempt->memory->limit && run_memory_leave(attempt->memory, &attempt->procs))
        complain("job %llu had not enough memory, and was killed or lost a process: %.*s", (unsigned long long)job->sequence, 200,
            text_string(&job->command));
}

static enum run_attempt_end try_job(struct run_attempt *attempt, struct run_job *job)
{
    struct running running = {.started = weft_clock()};
    make_directory(&job->directory);
    weft_rwlock_acquire_read(&attempt->stop->starts, WEFT_FOREVER);
    running.command = start_command(attempt, job);
    int error = errno;
    if (running.command)
        running_begin(attempt, &running, job);
    weft_rwlock_release_read(&attempt->stop->starts);
    errno = error;
    if (!running.command) {
        if (is_shortage(errno))
            return RUN_ATTEMPT_NO_ROOM;
        job_not_started(attempt, job, errno);
        return RUN_ATTEMPT_ENDED;
    }
    enum run_attempt_end end = run_to_end(attempt, job, &running);
    if (running.waits[WAIT_END].fd >= 0)
        close(running.waits[WAIT_END].fd);
    weft_command_free(running.command);
    if (end == RUN_ATTEMPT_ENDED && job->exitval == -1)
        complain("job %llu was stopped at its time limit: %.*s", (unsigned long long)job->sequence, 200, text_string(&job->command));
    return end;
}

enum run_attempt_end run_attempt_try(struct run_attempt *attempt, struct run_job *job)
{
    job_begin(attempt, job);
    if (enter_cgroup(attempt, job) != 0)
        return RUN_ATTEMPT_ENDED;
    enum run_attempt_end end = try_job(attempt, job);
    int error = errno;
    leave_cgroup(attempt, job);
    errno = error;
    return end;
}
