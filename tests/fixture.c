/* SPDX-License-Identifier: MIT */
/*
 * The frame around every test program: the suite, the folders, the skips, the summary. The program makes one folder under TMPDIR; each
 * test's own folder lies in it, and so does the list of skips, which the tests' processes append to. The program removes it all at its end,
 * so that a test that died leaves no files either.
 */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/leave.h"
#include "fixture.h"
#include "leaks.h"

enum { SECONDS_A_TEST = 60 };

static const char *fixture_noun;
static bool fixture_forks;
static char program_folder[PATH_MAX / 2];
static char test_folder[PATH_MAX];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)where;
    if (type == FTW_DNR || type == FTW_DP)
        chmod(path, 0700);
    return remove(path);
}

/* Opens folders that a test closed to itself on the way down, then removes from the leaves up. */
static int open_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)where;
    return type == FTW_D || type == FTW_DNR ? chmod(path, 0700) : 0;
}

static void folder_remove(const char *path)
{
    nftw(path, open_one, 16, FTW_PHYS);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void folder_make(void)
{
    const char *root = getenv("TMPDIR");
    snprintf(program_folder, sizeof program_folder, "%s/weft-test-XXXXXX", root && root[0] == '/' ? root : "/tmp");
    if (mkdtemp(program_folder))
        return;
    perror(program_folder);
    exit(EXIT_FAILURE);
}

const char *fixture_folder(void)
{
    if (!test_folder[0]) {
        snprintf(test_folder, sizeof test_folder, "%s/XXXXXX", program_folder);
        ck_assert_ptr_nonnull(mkdtemp(test_folder));
    }
    return test_folder;
}

static void fixture_before(void)
{
    test_folder[0] = 0;
    leaks_before();
}

static void fixture_after(void)
{
    leaks_after();
    if (test_folder[0])
        folder_remove(test_folder);
}

static FILE *skips_open(const char *mode)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/skips", program_folder);
    return fopen(path, mode);
}

/* Check calls the function of a test `name` name_fn. */
void fixture_skip_named(const char *function, const char *why)
{
    size_t length = strlen(function);
    if (length > 3 && strcmp(function + length - 3, "_fn") == 0)
        length -= 3;
    FILE *skips = skips_open("ae");
    ck_assert_ptr_nonnull(skips);
    fprintf(skips, "skipped %s:%.*s: %s\n", fixture_noun, (int)length, function, why);
    fclose(skips);
    if (!fixture_forks)
        ck_abort_msg("skipped (and counted as failed where tests do not fork): %s", why);
    exit(EXIT_SUCCESS); /* which Check takes for a pass; fixture_summary counts it again */
}

void fixture_look_again(weft_time late, const char *expression)
{
    if (weft_clock() > late)
        ck_abort_msg("waited in vain for: %s", expression);
    weft_yield(); /* to coroutines of this thread */
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void fixture_exit_output(void (*body)(int output), char *text, size_t size)
{
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        close(pipes[0]);
        body(pipes[1]);
        exit(0);
    }
    close(pipes[1]);
    ssize_t got, all = 0;
    while ((got = read(pipes[0], text + all, size - 1 - (size_t)all)) > 0)
        all += got;
    text[all] = 0;
    close(pipes[0]);
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static int skips_print(void)
{
    char line[LINE_MAX];
    int count = 0;
    FILE *skips = skips_open("re");
    for (; skips && fgets(line, sizeof line, skips); count++)
        fputs(line, stdout);
    if (skips)
        fclose(skips);
    return count;
}

static void fixture_summary(SRunner *runner)
{
    int skipped = skips_print(), failed = srunner_ntests_failed(runner);
    int passed = srunner_ntests_run(runner) - failed - (fixture_forks ? skipped : 0);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
}

void fixture_streams_close(int kept[3])
{
    for (int i = 0; i < 3; i++)
        ck_assert_int_ge(kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 3), 3);
    for (int i = 0; i < 3; i++)
        close(i);
}

bool fixture_streams_back(const int kept[3])
{
    bool taken = false;
    for (int i = 0; i < 3; i++) {
        taken |= fcntl(i, F_GETFD) >= 0;
        dup2(kept[i], i);
        close(kept[i]);
    }
    return taken;
}

bool fixture_copies(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "vgpreload");
}

bool fixture_emulated(void)
{
    return getenv("FIXTURE_EMULATED") != NULL;
}

void fixture_leave(int status)
{
    char line[32];
    snprintf(line, sizeof(line), "exit %d", status);
    if (fixture_copies()) /* another program has nothing to search */
        execl("/bin/sh", "sh", "-c", line, NULL);
    wefti_leave(status);
}

/* Valgrind lets no thread run while one sleeps in the ring: the others are who should wake it. */
static bool fixture_ring_holds_all(void)
{
    const char *io = getenv("WEFT_IO");
    return fixture_copies() && io && strcmp(io, "io_uring") == 0;
}

int fixture_main(const char *noun, void (*add)(TCase *tests))
{
    fixture_noun = noun;
    if (fixture_ring_holds_all()) {
        printf("skipped %s:*: Valgrind lets no thread run while one sleeps in io_uring\n0 passed, 0 failed, 1 skipped\n", noun);
        return EXIT_SUCCESS;
    }
    folder_make();
    Suite *suite = suite_create(noun);
    TCase *tests = tcase_create(noun);
    tcase_set_timeout(tests, SECONDS_A_TEST);
    tcase_add_checked_fixture(tests, fixture_before, fixture_after);
    add(tests);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    fixture_forks = srunner_fork_status(runner) != CK_NOFORK;
    srunner_run_all(runner, CK_ENV);
    fixture_summary(runner);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    folder_remove(program_folder);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
