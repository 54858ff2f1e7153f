/* SPDX-License-Identifier: MIT */
/* See run_keys.h. */
#include "run_keys.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Keeps two descriptors, as 3 and 4, and closes all others. */
static void keep_two(int *first, int *second)
{
    int a = fcntl(*first, F_DUPFD, 10), b = fcntl(*second, F_DUPFD, 10);
    *first = dup2(a, 3);
    *second = dup2(b, 4);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    syscall(SYS_close_range, 5u, ~0u, 0u);
}

/* The warden: waits until the host gives its last word, or dies without one, and puts the modes back then. */
static _Noreturn void keep_watch(int lifeline, int terminal, const struct termios *before)
{
    char word;
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    for (int signal = 1; signal < NSIG; signal++)
        if (signal != SIGCHLD)
            sigaction(signal, &ignored, NULL);
    keep_two(&lifeline, &terminal);
    prctl(PR_SET_NAME, "weft-terminal");
    if (read(lifeline, &word, 1) <= 0)
        tcsetattr(terminal, TCSANOW, before);
    _exit(0);
}

static int start_warden(struct run_keys *keys)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    keys->warden = fork();
    if (keys->warden == 0) {
        close(ends[1]);
        keep_watch(ends[0], keys->terminal, &keys->before);
    }
    close(ends[0]);
    keys->lifeline = ends[1];
    if (keys->warden > 0)
        return 0;
    close(ends[1]);
    return -1;
}

void run_keys_begin(struct run_keys *keys)
{
    *keys = (struct run_keys){.terminal = open("/dev/tty", O_RDWR | O_NONBLOCK | O_CLOEXEC), .lifeline = -1};
    if (keys->terminal < 0)
        return;
    if (tcgetattr(keys->terminal, &keys->before) != 0 || start_warden(keys) != 0) {
        close(keys->terminal);
        keys->terminal = -1;
        return;
    }
    run_keys_take(keys);
}

void run_keys_take(struct run_keys *keys)
{
    if (keys->terminal < 0 || keys->taken || tcgetpgrp(keys->terminal) != getpgrp())
        return;
    struct termios modes = keys->before;
    modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    modes.c_cc[VMIN] = 1;
    modes.c_cc[VTIME] = 0;
    keys->taken = tcsetattr(keys->terminal, TCSANOW, &modes) == 0;
}

void run_keys_give_back(struct run_keys *keys)
{
    if (!keys->taken)
        return;
    sigset_t one, mask;
    sigemptyset(&one);
    sigaddset(&one, SIGTTOU); /* the shell may have taken the foreground from us */
    sigprocmask(SIG_BLOCK, &one, &mask);
    tcsetattr(keys->terminal, TCSANOW, &keys->before);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    keys->taken = false;
}

char run_keys_read(struct run_keys *keys)
{
    char key;
    return keys->taken && tcgetpgrp(keys->terminal) == getpgrp() && read(keys->terminal, &key, 1) == 1 ? key : '\0';
}

void run_keys_end(struct run_keys *keys)
{
    if (keys->terminal < 0)
        return;
    run_keys_give_back(keys);
    ssize_t written = write(keys->lifeline, "", 1);
    (void)written; /* it is there to read it */
    close(keys->lifeline);
    waitpid(keys->warden, NULL, 0);
    close(keys->terminal);
    keys->terminal = -1;
}
