/* SPDX-License-Identifier: MIT */
/*
 * Commands by plain POSIX calls: posix_spawn (VARIANT "fork": fork and exec) and waitpid; a bare poll loop for what goes in and comes out.
 * The parent of command-wait-2g has touched 2 GB in pages of the ordinary size first. The loop of command-cat has pipes of 1 MiB, and
 * gathers what comes back in memory that it gets for each round, as a library that returns it must (VARIANT "reuse": in memory that it
 * keeps).
 */
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

extern char **environ;

enum { MIB = 1 << 20, CAT_LENGTH = 64 * MIB, CHUNK = 128 * 1024 };

static pid_t start_fork(char *const argv[])
{
    pid_t child = fork();
    if (child == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    bench_need(child > 0, "fork");
    return child;
}

/* Starts argv with its descriptors 0, 1, 2 replaced by those of `ends` that are not -1. */
static pid_t start_spawn(char *const argv[], const int ends[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++)
        if (ends[i] >= 0)
            posix_spawn_file_actions_adddup2(&actions, ends[i], i);
    pid_t child;
    errno = posix_spawn(&child, argv[0], &actions, NULL, argv, environ);
    bench_need(errno == 0, "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

static void wait_for(pid_t child)
{
    int status;
    bench_need(waitpid(child, &status, 0) == child && status == 0, "waitpid");
}

static double start_and_wait(long iterations, const char *variant)
{
    static char *const argv[] = {"/bin/true", NULL};
    static const int inherited[3] = {-1, -1, -1};
    int forks = strcmp(variant, "fork") == 0;
    double start = 0;
    for (long i = -(iterations / 10 + 1); i < iterations; i++) {
        if (i == 0)
            start = bench_clock();
        wait_for(forks ? start_fork(argv) : start_spawn(argv, inherited));
    }
    return (bench_clock() - start) / (double)iterations * 1e6;
}

static double start_and_wait_2g(long iterations, const char *variant)
{
    size_t length = (size_t)2 << 30;
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_need(memory != MAP_FAILED && madvise(memory, length, MADV_NOHUGEPAGE) == 0, "mmap");
    memset(memory, 1, length);
    return start_and_wait(iterations, variant);
}

static void pipe_new(int ends[2])
{
    bench_need(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
}

/* Reads what there is; closes and forgets the descriptor at its end. */
static size_t read_some(struct pollfd *from, char *to, size_t room)
{
    ssize_t got = read(from->fd, to, room);
    bench_need(got >= 0, "read");
    if (got == 0) {
        close(from->fd);
        from->fd = -1;
    }
    return (size_t)got;
}

static void capture_once(void)
{
    static char *const argv[] = {"/bin/true", NULL};
    static char buffer[65536];
    int output[2], error[2];
    pipe_new(output);
    pipe_new(error);
    pid_t child = start_spawn(argv, (const int[3]){-1, output[1], error[1]});
    close(output[1]);
    close(error[1]);
    struct pollfd watched[2] = {{.fd = output[0], .events = POLLIN}, {.fd = error[0], .events = POLLIN}};
    while (watched[0].fd >= 0 || watched[1].fd >= 0) {
        bench_need(poll(watched, 2, -1) > 0, "poll");
        for (int i = 0; i < 2; i++)
            if (watched[i].revents)
                read_some(&watched[i], buffer, sizeof(buffer));
    }
    wait_for(child);
}

static double capture(long iterations, const char *variant)
{
    (void)variant;
    double start = 0;
    for (long i = -(iterations / 10 + 1); i < iterations; i++) {
        if (i == 0)
            start = bench_clock();
        capture_once();
    }
    return (bench_clock() - start) / (double)iterations * 1e6;
}

/* Writes what fits of input from `sent` on; closes the descriptor when all of it has gone. */
static size_t write_some(struct pollfd *to, const char *input, size_t sent)
{
    size_t left = CAT_LENGTH - sent;
    ssize_t put = write(to->fd, input + sent, left < CHUNK ? left : CHUNK);
    bench_need(put > 0 || errno == EAGAIN, "write");
    if (put > 0 && (size_t)put == left) {
        close(to->fd);
        to->fd = -1;
    }
    return put > 0 ? (size_t)put : 0;
}

/* Sends the input through cat; `output` has room for an octet more than comes back, so that its end is seen. */
static void cat_once(const char *input, char *output)
{
    static char *const argv[] = {"/bin/cat", NULL};
    int in[2], out[2];
    pipe_new(in);
    pipe_new(out);
    fcntl(in[1], F_SETPIPE_SZ, MIB);
    fcntl(out[0], F_SETPIPE_SZ, MIB);
    pid_t child = start_spawn(argv, (const int[3]){in[0], out[1], -1});
    close(in[0]);
    close(out[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    struct pollfd watched[2] = {{.fd = in[1], .events = POLLOUT}, {.fd = out[0], .events = POLLIN}};
    size_t sent = 0, received = 0;
    while (watched[1].fd >= 0) {
        bench_need(poll(watched, 2, -1) > 0, "poll");
        if (watched[0].revents)
            sent += write_some(&watched[0], input, sent);
        if (watched[1].revents) {
            size_t room = CAT_LENGTH + 1 - received;
            received += read_some(&watched[1], output + received, room < CHUNK ? room : CHUNK);
        }
    }
    wait_for(child);
    bench_need(received == CAT_LENGTH && memcmp(input, output, 4096) == 0, "cat");
}

static double cat(long iterations, const char *variant)
{
    char *input = malloc(CAT_LENGTH), *kept = malloc(CAT_LENGTH + 1);
    int reuse = strcmp(variant, "reuse") == 0;
    bench_need(input && kept, "malloc");
    for (size_t i = 0; i < CAT_LENGTH; i++)
        input[i] = (char)(i % 251);
    memset(kept, 1, CAT_LENGTH);
    double start = 0;
    for (long i = -1; i < iterations; i++) {
        if (i == 0)
            start = bench_clock();
        char *output = reuse ? kept : malloc(CAT_LENGTH + 1);
        bench_need(output != NULL, "malloc");
        cat_once(input, output);
        if (!reuse)
            free(output);
    }
    return (double)CAT_LENGTH * (double)iterations / (bench_clock() - start) / 1e6;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"command-wait", start_and_wait}, {"command-wait-2g", start_and_wait_2g},
        {"command-capture", capture}, {"command-cat", cat}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
