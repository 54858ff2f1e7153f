/* SPDX-License-Identifier: MIT */
/*
 * Families and their supervisor. Each family's root is a child of the test, so that its end can be seen: what is left of it after that, the fixture
 * finds. What a root finds is its exit status: 0 when all is well, else the line.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "base/memory.h"
#include "family/family.h"
#include "fixture.h"
#include "shared/block.h"

#define MUST(condition)                      \
    do {                                     \
        if (!(condition))                    \
            wefti_leave(__LINE__ % 250 + 1); \
    } while (0)

#define NEEDS_PIDFDS      \
    if (fixture_copies()) \
    fixture_skip("Valgrind knows no pidfds")

static pid_t root_start(int (*root)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        wefti_leave(root());
    return child;
}

static void root_runs(int (*root)(void))
{
    int status = -1;
    pid_t child = root_start(root);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "status %x", status);
}

/* A started process. */
static struct wefti_process *start(int (*main)(struct wefti_process *self), void *data)
{
    MUST(weft_shared_limit(1 << 22) == 0 || errno == EBUSY);
    MUST(wefti_family_begin() == 0);
    struct wefti_process *process = wefti_process_new(main, data);
    MUST(process && wefti_process_start(process) == 0);
    return process;
}

static int ended(struct wefti_process *process)
{
    int status = -1;
    MUST(wefti_process_wait(process, &status, WEFT_FOREVER) == 0);
    wefti_process_let_go(process);
    return status;
}

static int counts(struct wefti_process *self)
{
    if (self->data)
        ++*(int *)self->data;
    MUST(self->pid == 0 || self->pid == getpid());
    return 7;
}

static int sleeps(struct wefti_process *self)
{
    while (self)
        pause();
    return 0;
}

static int root_of_one(void)
{
    MUST(wefti_family_begin() == 0 && wefti_family_begin() == 0);
    int *count = weft_shared_new(int);
    for (int i = 1; i <= 30; i++) { /* more than there are seats in a small build */
        int status = ended(start(counts, count));
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7 && *count == i);
    }
    MUST(weft_shared_free(count) == 0);
    return 0;
}

START_TEST(a_process_runs_and_its_status_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_of_one);
}
END_TEST

static int dies(struct wefti_process *self)
{
    (void)self;
    MUST(wefti_block_take(100) && wefti_block_take(100000));
    raise(SIGKILL);
    return 0;
}

static int root_of_the_dead(void)
{
    int status = ended(start(dies, NULL));
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    MUST(census.wrong == 0 && census.in_hand == 0 && census.chunks_taken == 0);
    return 0;
}

START_TEST(what_the_dead_had_in_hand_is_taken_back)
{
    NEEDS_PIDFDS;
    root_runs(root_of_the_dead);
}
END_TEST

/* Where it finds itself. */
static int looks_around(struct wefti_process *self)
{
    struct stat there, here;
    sigset_t mask;
    int fds = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(folder));)
        fds += entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder);
    closedir(folder);
    MUST(fds == 4); /* stdout, stderr, the arena, the socket */
    MUST(stat(self->data, &there) == 0 && stat(".", &here) == 0 && there.st_ino == here.st_ino);
    MUST(umask(0) == 027);
    MUST(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGTERM));
    MUST(fcntl(0, F_GETFD) < 0 && write(1, "hello", 5) == 5);
    return 0;
}

static int root_elsewhere(void)
{
    int ends[2];
    char said[8];
    sigset_t mask;
    char *folder = weft_shared_alloc(4096);
    MUST(wefti_family_begin() == 0);
    strcpy(folder, fixture_folder());
    MUST(chdir(folder) == 0 && pipe(ends) == 0 && dup2(ends[1], 1) == 1 && close(ends[1]) == 0);
    umask(027);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    close(0);
    struct wefti_process *process = start(looks_around, folder);
    close(1);
    MUST(read(ends[0], said, sizeof(said)) == 5 && memcmp(said, "hello", 5) == 0);
    MUST(read(ends[0], said, sizeof(said)) == 0); /* nobody else has the writing end */
    return ended(process) == 0 ? 0 : 1;
}

START_TEST(a_process_has_what_its_asker_has)
{
    NEEDS_PIDFDS;
    fixture_folder();
    root_runs(root_elsewhere);
}
END_TEST

static int root_that_waits_for_all(void)
{
    struct wefti_process *process = start(sleeps, NULL);
    MUST(wait(NULL) == -1 && errno == ECHILD);
    MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    int status;
    MUST(wefti_process_wait(process, &status, WEFT_NOW) == -1 && errno == EAGAIN);
    MUST(wefti_process_wait(process, &status, weft_in(0.01)) == -1 && errno == ETIMEDOUT);
    MUST(kill(process->pid, SIGKILL) == 0);
    status = ended(process);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 1;
}

START_TEST(the_host_sees_no_children)
{
    NEEDS_PIDFDS;
    root_runs(root_that_waits_for_all);
}
END_TEST

static int starts_another(struct wefti_process *self)
{
    uint32_t *depth = self->data;
    if (++*depth == 4)
        return 40;
    int status = ended(start(starts_another, depth));
    return WEXITSTATUS(status) + 1;
}

static int root_of_nested(void)
{
    MUST(wefti_family_begin() == 0);
    uint32_t *depth = weft_shared_new(uint32_t);
    return WEXITSTATUS(ended(start(starts_another, depth))) == 43 ? 0 : 1;
}

START_TEST(processes_start_processes)
{
    NEEDS_PIDFDS;
    root_runs(root_of_nested);
}
END_TEST

static int sleeps_beside_another(struct wefti_process *self)
{
    start(sleeps, NULL);
    __atomic_store_n((uint32_t *)self->data, 1, __ATOMIC_RELEASE);
    weft_wake(self->data, 1);
    return sleeps(self);
}

/* Whatever happens to it now, nothing may be left: the fixture looks. */
static int root_that_dies(void)
{
    MUST(wefti_family_begin() == 0);
    uint32_t *begun = weft_shared_new(uint32_t);
    start(sleeps, NULL);
    start(sleeps_beside_another, begun);
    while (!__atomic_load_n(begun, __ATOMIC_ACQUIRE))
        weft_wait(begun, 0, WEFT_FOREVER);
    return raise(SIGKILL);
}

START_TEST(nothing_outlives_the_root)
{
    NEEDS_PIDFDS;
    int status = -1;
    pid_t root = root_start(root_that_dies);
    ck_assert_int_eq(waitpid(root, &status, 0), root);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
END_TEST

/* As above, with a child of the host's own fork in between, which is no member and lives on for a while. */
static int root_that_forked_and_dies(void)
{
    MUST(wefti_family_begin() == 0);
    start(sleeps, NULL);
    int ends[2];
    MUST(pipe(ends) == 0);
    if (fork() == 0) {
        char octet;
        struct wefti_process process = {.holds = 1, .main = sleeps};
        MUST(wefti_process_start(&process) == -1 && errno == ESTALE);
        close(ends[1]);
        MUST(read(ends[0], &octet, 1) == 0); /* until the root is gone */
        wefti_leave(0);
    }
    raise(SIGKILL);
    return 1;
}

START_TEST(a_fork_of_the_hosts_holds_nothing_up)
{
    NEEDS_PIDFDS;
    int status = -1;
    pid_t root = root_start(root_that_forked_and_dies);
    ck_assert_int_eq(waitpid(root, &status, 0), root);
    ck_assert(WIFSIGNALED(status));
}
END_TEST

static int root_that_loses_its_supervisor(void)
{
    struct wefti_process *process = start(sleeps, NULL), *other = wefti_process_new(sleeps, NULL);
    int status;
    MUST(kill(wefti_family_now()->supervisor, SIGKILL) == 0);
    MUST(wefti_process_wait(process, &status, WEFT_FOREVER) == -1 && errno == EPIPE);
    MUST(wefti_process_start(other) == -1 && errno == EPIPE);
    return 0;
}

START_TEST(a_dead_supervisor_is_told_and_takes_its_processes_along)
{
    NEEDS_PIDFDS;
    root_runs(root_that_loses_its_supervisor);
}
END_TEST

static uint32_t waiting;

static void *waits_for_it(void *process)
{
    int status;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
    bool told = wefti_process_wait(process, &status, WEFT_FOREVER) == -1 && errno == EPIPE;
    return told ? NULL : process;
}

static int root_with_many_waiters(void)
{
    pthread_t threads[4];
    struct wefti_process *process = start(sleeps, NULL);
    for (int i = 0; i < 4; i++)
        MUST(pthread_create(&threads[i], NULL, waits_for_it, process) == 0);
    while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) < 4)
        weft_yield();
    MUST(kill(wefti_family_now()->supervisor, SIGKILL) == 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        MUST(pthread_join(threads[i], &wrong) == 0 && !wrong);
    }
    return 0;
}

START_TEST(all_who_wait_are_told)
{
    NEEDS_PIDFDS;
    root_runs(root_with_many_waiters);
}
END_TEST

static void *pauses(void *unused)
{
    pause();
    return unused;
}

static int root_with_threads(void)
{
    pthread_t thread;
    struct wefti_process process = {.main = sleeps};
    MUST(wefti_process_start(&process) == -1 && errno == ESTALE); /* no family yet */
    MUST(pthread_create(&thread, NULL, pauses, NULL) == 0);
    MUST(wefti_family_begin() == -1 && errno == EBUSY);
    return 0;
}

START_TEST(a_family_begins_before_there_are_threads)
{
    NEEDS_PIDFDS;
    root_runs(root_with_threads);
}
END_TEST

/* Each process costs the supervisor a descriptor, and each request four. */
static int root_with_few_descriptors(void)
{
    struct wefti_process *processes[20];
    int count = 0, error = 0;
    MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){14, 14}) == 0 && wefti_family_begin() == 0);
    for (; !error; count++) {
        MUST(count < 20 && (processes[count] = wefti_process_new(sleeps, NULL)));
        error = wefti_process_start(processes[count]) == 0 ? 0 : errno;
    }
    MUST(error == EMFILE && count > 2);
    for (int i = 0; i < count - 1; i++)
        MUST(kill(processes[i]->pid, SIGKILL) == 0 && WIFSIGNALED(ended(processes[i])));
    return ended(start(counts, NULL)) == 7 << 8 ? 0 : 1;
}

START_TEST(want_of_descriptors_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_with_few_descriptors);
}
END_TEST

#ifdef WEFTI_SMALL
static int root_of_too_many(void)
{
    struct wefti_process *processes[WEFTI_SEATS];
    int count = 0, error = 0;
    MUST(wefti_family_begin() == 0);
    for (; !error; count++) {
        MUST(count < WEFTI_SEATS && (processes[count] = wefti_process_new(sleeps, NULL)));
        error = wefti_process_start(processes[count]) == 0 ? 0 : errno;
    }
    MUST(error == EAGAIN && count == WEFTI_SEATS - WEFTI_SEAT_FIRST + 1);
    for (int i = 0; i < count - 1; i++)
        MUST(kill(processes[i]->pid, SIGKILL) == 0 && WIFSIGNALED(ended(processes[i])));
    return ended(start(counts, weft_shared_new(int))) == 7 << 8 ? 0 : 1;
}

START_TEST(a_full_table_says_so)
{
    NEEDS_PIDFDS;
    root_runs(root_of_too_many);
}
END_TEST

static long failing;

/* It fails and says so, or gets over it; then all of it works. */
static int root_with_a_fault(void)
{
    struct wefti_process *process = NULL;
    weft_small_fail_after(failing);
    bool begun = wefti_family_begin() == 0 && (process = wefti_process_new(counts, NULL)) && wefti_process_start(process) == 0;
    int error = errno;
    bool reached = weft_small_asked() >= failing;
    weft_small_fail_after(0);
    MUST(begun || error == ENOMEM || error == EMFILE || error == EAGAIN);
    wefti_process_let_go(process);
    MUST(WEXITSTATUS(ended(start(counts, weft_shared_new(int)))) == 7);
    return reached ? 0 : 99;
}

START_TEST(whatever_it_asks_for_may_fail)
{
    NEEDS_PIDFDS;
    int status = 0;
    for (failing = 1; status == 0 && failing < 100; failing++) {
        pid_t root = root_start(root_with_a_fault);
        ck_assert_int_eq(waitpid(root, &status, 0), root);
    }
    ck_assert_int_eq(status, 99 << 8);
    ck_assert_int_gt((int)failing, 8);
}
END_TEST
#endif

static void add(TCase *tests)
{
    tcase_add_test(tests, a_process_runs_and_its_status_is_told);
    tcase_add_test(tests, what_the_dead_had_in_hand_is_taken_back);
    tcase_add_test(tests, a_process_has_what_its_asker_has);
    tcase_add_test(tests, the_host_sees_no_children);
    tcase_add_test(tests, processes_start_processes);
    tcase_add_test(tests, nothing_outlives_the_root);
    tcase_add_test(tests, a_fork_of_the_hosts_holds_nothing_up);
    tcase_add_test(tests, a_dead_supervisor_is_told_and_takes_its_processes_along);
    tcase_add_test(tests, all_who_wait_are_told);
    tcase_add_test(tests, a_family_begins_before_there_are_threads);
    tcase_add_test(tests, want_of_descriptors_is_told);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, a_full_table_says_so);
    tcase_add_test(tests, whatever_it_asks_for_may_fail);
#endif
}

int main(void)
{
    return fixture_main("family", add);
}
