/* SPDX-License-Identifier: MIT */
/*
 * Tests of the fixture itself: that a leak of each kind is a failure that names it, that a skip is counted, that folders go. Each runs this
 * very program once more, with the name of a bad test to run as its argument, and reads what it says.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "leaks.h"

START_TEST(leaves_a_descriptor)
{
    ck_assert_int_ge(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}
END_TEST

START_TEST(loses_a_descriptor)
{
    close(STDIN_FILENO);
}
END_TEST

START_TEST(leaves_a_child)
{
    if (fork() == 0)
        for (;;)
            pause();
}
END_TEST

START_TEST(leaves_a_dead_child)
{
    if (fork() == 0)
        _exit(0);
}
END_TEST

/*
 * The grandchild's parent is gone and its session is its own. The shell closes the pipe itself: had the kernel closed it at exec, there
 * would be a moment in which its environment, by which it is found, is not there yet.
 */
START_TEST(leaves_an_escapee)
{
    int status, ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0 && fork() == 0) {
        setsid();
        dup2(ends[1], STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", "exec >&- 2>&-; sleep 6; :", (char *)NULL);
    } else if (child == 0)
        _exit(0);
    close(ends[1]);
    waitpid(child, &status, 0);
    ck_assert_int_eq(read(ends[0], &status, 1), 0);
    close(ends[0]);
}
END_TEST

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

START_TEST(leaves_a_thread)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
    pthread_detach(thread);
}
END_TEST

START_TEST(leaves_a_mapping)
{
    ck_assert_ptr_ne(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
}
END_TEST

static char shm_name[64];

START_TEST(leaves_a_name)
{
    int descriptor = shm_open(shm_name, O_CREAT | O_RDWR, 0600);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}
END_TEST

START_TEST(skips)
{
    fixture_skip("the moon is full");
}
END_TEST

START_TEST(dies_in_its_folder)
{
    char path[4096];
    ck_assert_int_eq(access(fixture_folder(), W_OK), 0);
    snprintf(path, sizeof path, "%s/locked", fixture_folder());
    ck_assert_int_eq(mkdir(path, 0), 0);
    fprintf(stderr, "folder=%s\n", fixture_folder());
    abort();
}
END_TEST

static void *end_at_once(void *unused)
{
    return unused;
}

START_TEST(leaves_nothing)
{
    pthread_t thread;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(pthread_create(&thread, NULL, end_at_once, NULL), 0);
        pthread_detach(thread);
    }
    ck_assert_str_eq(fixture_folder(), fixture_folder());
}
END_TEST

/* The bad tests, by name. */
static const struct {
    const char *name;
    const TTest *const *test;
} bad[] = {
    {"leaves_a_descriptor", &leaves_a_descriptor},
    {"loses_a_descriptor", &loses_a_descriptor},
    {"leaves_a_child", &leaves_a_child},
    {"leaves_a_dead_child", &leaves_a_dead_child},
    {"leaves_an_escapee", &leaves_an_escapee},
    {"leaves_a_thread", &leaves_a_thread},
    {"leaves_a_mapping", &leaves_a_mapping},
    {"leaves_a_name", &leaves_a_name},
    {"skips", &skips},
    {"dies_in_its_folder", &dies_in_its_folder},
};

static const char *chosen;

static void add_chosen(TCase *tests)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (strcmp(bad[i].name, chosen) == 0)
            tcase_add_test(tests, *bad[i].test);
}

/* This program's path. */
static const char *program;

/* Runs the bad test `name` in a program of its own; its output is `output`. Returns its exit status. */
static int run_bad(const char *name, char *output, size_t size)
{
    char line[4096];
    snprintf(line, sizeof line, "'%s' %s 2>&1", program, name);
    FILE *pipe = popen(line, "re");
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(output, 1, size - 1, pipe);
    output[length] = 0;
    int status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const struct {
    const char *name, *says;
} leak[] = {
    {"leaves_a_descriptor", "left behind: descriptor"},
    {"loses_a_descriptor", "no longer there: descriptor 0"},
    {"leaves_a_child", "left behind: process"},
    {"leaves_a_dead_child", "dead and not waited for"},
    {"leaves_an_escapee", "left behind: process"},
    {"leaves_a_thread", "left behind: thread"},
    {"leaves_a_mapping", "left behind: shared mapping"},
    {"leaves_a_name", "left behind: /dev/shm/weft-"},
};
enum { LEAKS = sizeof leak / sizeof leak[0] };

START_TEST(a_leak_fails_and_is_named)
{
    char output[8192];
    ck_assert_int_eq(run_bad(leak[_i].name, output, sizeof output), EXIT_FAILURE);
    ck_assert_msg(strstr(output, leak[_i].says), "%s", output);
    ck_assert_msg(strstr(output, "0 passed, 1 failed, 0 skipped"), "%s", output);
}
END_TEST

START_TEST(a_skip_is_counted)
{
    char output[8192];
    ck_assert_int_eq(run_bad("skips", output, sizeof output), EXIT_SUCCESS);
    ck_assert_msg(strstr(output, "skipped fixture:skips: the moon is full\n0 passed, 0 failed, 1 skipped\n"), "%s", output);
}
END_TEST

START_TEST(folders_go_even_if_the_test_dies)
{
    char output[8192], path[4096] = "";
    ck_assert_int_eq(run_bad("dies_in_its_folder", output, sizeof output), EXIT_FAILURE);
    const char *said = strstr(output, "folder=");
    ck_assert_msg(said && sscanf(said, "folder=%4095s", path) == 1, "%s", output);
    ck_assert_int_eq(access(path, F_OK), -1);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, a_leak_fails_and_is_named, 0, LEAKS);
    tcase_add_test(tests, a_skip_is_counted);
    tcase_add_test(tests, folders_go_even_if_the_test_dies);
    tcase_add_test(tests, leaves_nothing);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 1)
        return fixture_main("fixture", add);
    chosen = argv[1];
    leaks_patience = 0.1;
    snprintf(shm_name, sizeof shm_name, "/weft-fixture-%d", getpid());
    int status = fixture_main("fixture", add_chosen);
    shm_unlink(shm_name);
    return status;
}
