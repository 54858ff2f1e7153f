/* SPDX-License-Identifier: MIT */
/*
 * Families and their supervisor. Each family's root is a child of the test, so that its end can be seen: what is left of it after that, the
 * fixture finds. What a root finds is its exit status: 0 when all is well, else the line.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/leave.h"
#include "base/memory.h"
#include "family/claim.h"
#include "family_process.h"
#include "shared/block.h"
#include "step.h"

static int counts(struct wefti_process *self)
{
    if (self->data)
        ++*(int *)self->data;
    MUST(self->pid == getpid() && self->state == WEFTI_PROCESS_RUNS); /* not before it is said: else it could come twice */
    return 7;
}

static int sleeps(struct wefti_process *self)
{
    while (self)
        pause();
    return 0;
}

static void root_of_one(void)
{
    MUST(wefti_family_begin() == 0 && wefti_family_begin() == 0);
    int *count = weft_shared_new(int);
    for (int i = 1; i <= 30; i++) { /* more than there are seats in a small build */
        int status = ended(start(counts, count));
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7 && *count == i);
    }
    MUST(weft_shared_free(count) == 0);
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

static void root_of_the_dead(void)
{
    int status = ended(start(dies, NULL));
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    MUST(census.wrong == 0 && census.in_hand == 0 && census.chunks_taken == 0);
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

static void root_elsewhere(void)
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
    MUST(ended(process) == 0);
}

START_TEST(a_process_has_what_its_asker_has)
{
    NEEDS_PIDFDS;
    fixture_folder();
    root_runs(root_elsewhere);
}
END_TEST

static int has_no_streams(struct wefti_process *self)
{
    (void)self;
    for (int i = 0; i < 3; i++)
        MUST(fcntl(i, F_GETFD) < 0);
    return 0;
}

/* What it prints must not go into the arena. */
static void root_without_streams(void)
{
    for (int i = 0; i < 3; i++)
        close(i);
    MUST(wefti_family_begin() == 0);
    for (int i = 0; i < 3; i++)
        MUST(fcntl(i, F_GETFD) < 0 && write(i, "lost", 4) < 0);
    MUST(ended(start(has_no_streams, NULL)) == 0);
}

START_TEST(no_descriptor_of_a_family_is_a_stream)
{
    NEEDS_PIDFDS;
    root_runs(root_without_streams);
}
END_TEST

static void root_that_waits_for_all(void)
{
    struct wefti_process *process = start(sleeps, NULL);
    MUST(wait(NULL) == -1 && errno == ECHILD);
    MUST(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    int status;
    MUST(wefti_process_wait(process, &status, WEFT_NOW) == -1 && errno == EAGAIN);
    MUST(wefti_process_wait(process, &status, weft_in(0.01)) == -1 && errno == ETIMEDOUT);
    MUST(kill(process->pid, SIGKILL) == 0);
    status = ended(process);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
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

static void root_of_nested(void)
{
    MUST(wefti_family_begin() == 0);
    uint32_t *depth = weft_shared_new(uint32_t);
    MUST(WEXITSTATUS(ended(start(starts_another, depth))) == 43);
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
static void root_that_dies(void)
{
    MUST(wefti_family_begin() == 0);
    uint32_t *begun = weft_shared_new(uint32_t);
    start(sleeps, NULL);
    start(sleeps_beside_another, begun);
    while (!__atomic_load_n(begun, __ATOMIC_ACQUIRE))
        weft_wait(begun, 0, WEFT_FOREVER);
    raise(SIGKILL);
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
static void root_that_forked_and_dies(void)
{
    MUST(wefti_family_begin() == 0);
    start(sleeps, NULL);
    int ends[2];
    MUST(pipe(ends) == 0);
    if (fork() == 0) {
        char octet;
        struct wefti_process process = {.held = WEFTI_PROCESS_MAKERS, .main = sleeps};
        MUST(wefti_process_start(&process) == -1 && errno == ESTALE);
        close(ends[1]);
        MUST(read(ends[0], &octet, 1) == 0); /* until the root is gone */
        wefti_leave(0);
    }
    raise(SIGKILL);
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

static struct wefti_family *family(void)
{
    return wefti_family_now();
}

/* The keeper of this number as it is now, once there is one that lives and is not `before`. */
static pid_t keeper_other_than(pid_t before, unsigned number)
{
    for (weft_time late = weft_in(20);; nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL)) {
        struct wefti_keeper *keeper = &family()->keepers[number];
        uint32_t life = __atomic_load_n((uint32_t *)&keeper->life.__data.__lock, __ATOMIC_ACQUIRE);
        pid_t now = __atomic_load_n(&keeper->pid, __ATOMIC_ACQUIRE);
        if (now > 0 && now != before && (life & FUTEX_TID_MASK) == (uint32_t)now && !(life & FUTEX_OWNER_DIED))
            return now;
        MUST(weft_clock() < late);
    }
}

static void root_that_loses_its_supervisor(void)
{
    struct wefti_process *process = start(sleeps, NULL), *other = wefti_process_new(counts, NULL);
    pid_t first = family()->supervisor;
    keeper_other_than(0, 1);
    MUST(kill(first, SIGKILL) == 0);
    int status = ended(process); /* it went with its parent */
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    MUST(wefti_process_start(other) == 0);
    status = ended(other);
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    MUST(family()->supervisor != first && family()->epoch == 2);
}

START_TEST(a_dead_supervisor_is_replaced)
{
    NEEDS_PIDFDS;
    root_runs(root_that_loses_its_supervisor);
}
END_TEST

/* A supervisor that dies while it puts right what a process left: what it had in hand itself is taken back, too. */
static void mend_and_die(uint32_t dead, void *object, uint64_t detail)
{
    (void)dead;
    (void)detail;
    if (__atomic_add_fetch((uint32_t *)object, 1, __ATOMIC_RELEASE) > 1)
        return;
    MUST(wefti_block_take(100) && wefti_block_take(100000));
    raise(SIGKILL);
}

static int holds_and_dies(struct wefti_process *self)
{
    MUST(wefti_hold_process(WEFTI_HOLD_ONCE, self->data, 0) == 0);
    raise(SIGKILL);
    return 0;
}

static void root_whose_supervisor_dies_mending(void)
{
    struct wefti_blocks_census census;
    uint32_t *mends = weft_shared_new(uint32_t);
    wefti_menders[WEFTI_HOLD_ONCE] = mend_and_die;
    MUST(wefti_family_begin() == 0);
    keeper_other_than(0, 1);
    int status = ended(start(holds_and_dies, mends));
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    MUST(root_until(&family()->epoch, 2) && *mends == 2);
    wefti_blocks_count(&census);
    MUST(census.wrong == 0 && census.in_hand == 0 && census.chunks_taken == 0);
}

START_TEST(what_a_dead_supervisor_had_in_hand_is_taken_back)
{
    NEEDS_PIDFDS;
    root_runs(root_whose_supervisor_dies_mending);
}
END_TEST

/* Where orphans come to the root: as it sees who waits for all its children, there is nobody. */
static bool alone(void)
{
    errno = 0;
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

static void root_with_orphans(void)
{
    MUST(alone() && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    for (uint32_t round = 1; round <= 3; round++) {
        int status = ended(start(counts, NULL));
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7 && family()->epoch == round && alone());
        struct wefti_process *process = start(sleeps, NULL);
        pid_t supervisor = family()->supervisor;
        keeper_other_than(0, round % 2);
        MUST(kill(supervisor, SIGKILL) == 0);
        status = ended(process);
        MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && root_until(&family()->epoch, round + 1) && alone());
    }
}

/* The first process of a container. */
static void root_in_a_container(void)
{
    int status = -1;
    if (unshare(CLONE_NEWPID) != 0)
        fixture_leave(errno == EPERM ? 0 : 1);
    pid_t first = fork();
    if (first == 0) {
        root_with_orphans();
        fixture_leave(0);
    }
    MUST(waitpid(first, &status, 0) == first);
    fixture_leave(WIFEXITED(status) ? WEXITSTATUS(status) : 250);
}

START_TEST(who_takes_in_orphans_sees_no_children)
{
    NEEDS_PIDFDS;
    root_runs(_i ? root_in_a_container : root_with_orphans);
}
END_TEST

static void root_that_loses_spares(void)
{
    struct wefti_process *process = start(sleeps, NULL);
    pid_t spare = 0;
    for (int i = 0; i < 5; i++) {
        spare = keeper_other_than(spare, 1);
        MUST(kill(spare, SIGKILL) == 0);
    }
    keeper_other_than(spare, 1);
    MUST(family()->epoch == 1 && process->state == WEFTI_PROCESS_RUNS && kill(process->pid, 0) == 0);
    MUST(kill(process->pid, SIGUSR1) == 0);
    int status = ended(process);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

START_TEST(a_dead_spare_is_replaced_and_nobody_notices)
{
    NEEDS_PIDFDS;
    root_runs(root_that_loses_spares);
}
END_TEST

/* Neither can take the other's place. */
static void keepers_kill(void)
{
    pid_t spare = keeper_other_than(0, 1), supervisor = family()->supervisor;
    MUST(kill(spare, SIGSTOP) == 0 && kill(supervisor, SIGSTOP) == 0);
    MUST(kill(spare, SIGKILL) == 0 && kill(supervisor, SIGKILL) == 0);
}

static void root_that_loses_both(void)
{
    struct wefti_process *process = start(sleeps, NULL), *other = wefti_process_new(sleeps, NULL);
    int status;
    keepers_kill();
    MUST(wefti_process_wait(process, &status, WEFT_FOREVER) == -1 && errno == EPIPE);
    MUST(wefti_process_start(other) == -1 && errno == EPIPE);
}

START_TEST(the_death_of_both_is_told_and_takes_the_processes_along)
{
    NEEDS_PIDFDS;
    root_runs(root_that_loses_both);
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

static void root_with_many_waiters(void)
{
    pthread_t threads[4];
    struct wefti_process *process = start(sleeps, NULL);
    for (int i = 0; i < 4; i++)
        MUST(pthread_create(&threads[i], NULL, waits_for_it, process) == 0);
    while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) < 4)
        weft_yield();
    keepers_kill();
    for (int i = 0; i < 4; i++) {
        void *wrong;
        MUST(pthread_join(threads[i], &wrong) == 0 && !wrong);
    }
}

START_TEST(all_who_wait_are_told)
{
    NEEDS_PIDFDS;
    root_runs(root_with_many_waiters);
}
END_TEST

/* Kills supervisors at moments of all kinds, as many as it is told, while its root asks for processes. */
static int kills_supervisors(struct wefti_process *self)
{
    uint64_t seed = 88172645463325252U;
    uint32_t *left = self->data;
    while (__atomic_load_n(left, __ATOMIC_ACQUIRE) > 0) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        pid_t before = family()->supervisor;
        unsigned number = family()->keepers[0].pid == before ? 1 : 0;
        keeper_other_than(0, number); /* with a spare: the loss of both is another test */
        nanosleep(&(struct timespec){.tv_nsec = (long)(seed % 3000000)}, NULL);
        kill(before, SIGKILL);
        while (__atomic_load_n(&family()->supervisor, __ATOMIC_ACQUIRE) == before)
            weft_yield();
        __atomic_sub_fetch(left, 1, __ATOMIC_RELEASE);
    }
    return 0;
}

/* A fork of the root's own that is adopted, so that it outlives supervisors. */
static struct wefti_process *adopted(int (*main)(struct wefti_process *self), void *data, pid_t *child)
{
    struct wefti_process *process = wefti_process_new(main, data);
    MUST(process);
    uint64_t ticket = wefti_held_ticket(&process->held);
    *child = fork();
    if (*child == 0)
        wefti_leave(wefti_process_join(process, ticket) == 0 ? main(process) : 99);
    int pidfd = (int)syscall(SYS_pidfd_open, *child, 0);
    MUST(pidfd >= 0 && wefti_process_adopt(process, pidfd) == 0);
    close(pidfd);
    return process;
}

static void root_among_dying_supervisors(void)
{
    MUST(weft_shared_limit(1 << 22) == 0 && wefti_family_begin() == 0);
    uint32_t *left = weft_shared_new(uint32_t);
    int status, lost = 0, done = 0;
    pid_t child;
    *left = 30;
    struct wefti_process *killer = adopted(kills_supervisors, left, &child);
    while (__atomic_load_n(left, __ATOMIC_ACQUIRE) > 0) {
        status = ended(start(counts, NULL));
        lost += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        done += WIFEXITED(status) && WEXITSTATUS(status) == 7;
        MUST(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 7));
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
    ended(killer);
    status = ended(start(counts, NULL));
    MUST(WIFEXITED(status) && lost + done > 0);
}

START_TEST(processes_can_be_had_while_supervisors_die)
{
    NEEDS_PIDFDS;
    root_runs(root_among_dying_supervisors);
}
END_TEST

static int exits_with_5(struct wefti_process *self)
{
    uint32_t *locked = self->data;
    MUST(wefti_member == self->seat && weft_lock_acquire((weft_lock *)(void *)locked, WEFT_FOREVER) == 0);
    return 5;
}

static void root_that_forks(void)
{
    pid_t child;
    int status, told;
    MUST(weft_shared_limit(1 << 22) == 0 && wefti_family_begin() == 0);
    weft_lock *lock = weft_shared_new(weft_lock);
    struct wefti_process *process = adopted(exits_with_5, lock, &child);
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
    MUST(wefti_process_wait(process, &told, WEFT_FOREVER) == 0);
    MUST(told == status || told == SIGKILL); /* as the kernel knows it still, or not */
    MUST(weft_lock_acquire(lock, WEFT_FOREVER) == 1 && weft_lock_release(lock) == 0);
    wefti_process_let_go(process);
}

START_TEST(a_fork_of_the_hosts_can_be_adopted)
{
    NEEDS_PIDFDS;
    root_runs(root_that_forks);
}
END_TEST

/* Standing by. */

/* Who stands by at this moment; 0: nobody. */
static pid_t ready_now(void)
{
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        if (__atomic_load_n(&family()->seats[i].state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_READY)
            return family()->seats[i].pid;
    return 0;
}

static pid_t ready_other_than(pid_t before)
{
    weft_time late = weft_in(20);
    for (pid_t now = ready_now();; now = ready_now()) {
        if (now && now != before)
            return now;
        MUST(weft_clock() < late && weft_sleep(0.0002) == 0);
    }
}

static pid_t parent_of(pid_t pid)
{
    char path[64];
    int parent = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    MUST(file && fscanf(file, "%*d (%*[^)]) %*c %d", &parent) == 1 && fclose(file) == 0);
    return parent;
}

static void root_with_one_ready(void)
{
    MUST(weft_shared_limit(1 << 22) == 0 && wefti_family_begin() == 0 && ready_now() == 0);
    ended(start(counts, NULL));
    pid_t ready = ready_other_than(0);
    MUST(parent_of(ready) == family()->supervisor);
    MUST(kill(ready, SIGTERM) == 0 && kill(ready, SIGINT) == 0); /* meant for whom? */
    struct wefti_process *process = start(sleeps, NULL);
    MUST(process->pid == ready && parent_of(ready) == family()->supervisor);
    MUST(ready_other_than(ready) && kill(ready, SIGUSR1) == 0);
    int status = ended(process);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

START_TEST(one_stands_by_from_the_first_request_on)
{
    NEEDS_PIDFDS;
    root_runs(root_with_one_ready);
}
END_TEST

static void root_that_kills_who_stands_by(void)
{
    int *count = weft_shared_new(int);
    ended(start(counts, count));
    for (int i = 2; i < 22; i++) {
        pid_t ready = ready_other_than(0);
        MUST(kill(ready, SIGKILL) == 0);
        MUST(ended(start(counts, count)) == 7 << 8 && *count == i);
    }
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    MUST(census.wrong == 0 && census.in_hand == 0);
}

START_TEST(who_stands_by_may_die)
{
    NEEDS_PIDFDS;
    root_runs(root_that_kills_who_stands_by);
}
END_TEST

static void *starts_one(void *process)
{
    return wefti_process_start(process) == 0 ? process : NULL;
}

/* It is stopped when the request comes, so that it dies before it can say anything. */
static void root_that_kills_with_a_request(void)
{
    pthread_t thread;
    void *started;
    ended(start(counts, NULL));
    pid_t ready = ready_other_than(0);
    MUST(kill(ready, SIGSTOP) == 0);
    struct wefti_process *process = wefti_process_new(counts, NULL);
    MUST(process && pthread_create(&thread, NULL, starts_one, process) == 0);
    while (!(__atomic_load_n(&process->held, __ATOMIC_RELAXED) & WEFTI_PROCESS_SUPERVISORS))
        weft_yield();
    weft_sleep(0.002);
    MUST(kill(ready, SIGKILL) == 0 && pthread_join(thread, &started) == 0 && started == process && process->pid != ready);
    MUST(ended(process) == 7 << 8);
}

START_TEST(a_request_does_not_die_with_who_has_it)
{
    NEEDS_PIDFDS;
    root_runs(root_that_kills_with_a_request);
}
END_TEST

/* Nor is an adoption for who stands by; and the supervisor's death takes that one along. */
static void root_with_ready_ones_lost(void)
{
    pid_t child;
    int status;
    ended(start(counts, NULL));
    pid_t ready = ready_other_than(0);
    struct wefti_process *process = adopted(counts, NULL, &child);
    MUST(waitpid(child, &status, 0) == child && wefti_process_wait(process, &status, WEFT_FOREVER) == 0);
    ready = ready_other_than(ready);
    keeper_other_than(0, family()->keepers[0].pid == family()->supervisor ? 1 : 0);
    pid_t supervisor = family()->supervisor;
    MUST(kill(supervisor, SIGKILL) == 0);
    while (__atomic_load_n(&family()->supervisor, __ATOMIC_ACQUIRE) == supervisor)
        weft_yield();
    MUST(ended(start(counts, NULL)) == 7 << 8 && ready_other_than(ready));
    raise(SIGKILL); /* the fixture looks whether it is left behind */
}

START_TEST(who_stands_by_dies_with_the_family)
{
    NEEDS_PIDFDS;
    int status = -1;
    pid_t root = root_start(root_with_ready_ones_lost);
    ck_assert_int_eq(waitpid(root, &status, 0), root);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", status);
}
END_TEST

/* Its fork is adopted by nobody. */
static int forks_and_dies(struct wefti_process *self)
{
    uint32_t *told = self->data;
    struct wefti_process *process = wefti_process_new(counts, NULL);
    MUST(process);
    uint64_t ticket = wefti_held_ticket(&process->held);
    if (fork() == 0) {
        bool refused = wefti_process_join(process, ticket) == -1 && errno == EPIPE;
        __atomic_store_n(told, refused ? 1 : 2, __ATOMIC_RELEASE);
        wefti_leave(0);
    }
    return raise(SIGKILL);
}

static void root_of_an_unadopted_fork(void)
{
    uint32_t *told = weft_shared_new(uint32_t);
    MUST(told && wefti_family_begin() == 0 && WIFSIGNALED(ended(start(forks_and_dies, told))));
    MUST(root_until(told, 1) && *told == 1);
}

START_TEST(a_fork_whose_maker_dies_before_it_is_adopted_ends)
{
    NEEDS_PIDFDS;
    root_runs(root_of_an_unadopted_fork);
}
END_TEST

/* Each store of who takes a request as the last one; then each of who puts that right. */

static struct wefti_process *claimed;
static uint64_t claimed_ticket;
static uint32_t *claimed_seat; /* in the arena */

static void claim_prepare(void)
{
    ck_assert_ptr_nonnull(claimed_seat = weft_shared_new(uint32_t));
    ck_assert_ptr_nonnull(claimed = wefti_process_new(counts, NULL));
    claimed_ticket = wefti_held_ticket(&claimed->held);
    claimed->held |= WEFTI_PROCESS_SUPERVISORS; /* it has been asked for */
}

static void claim_steps(void)
{
    *claimed_seat = wefti_member;
    step_begin();
    if (wefti_claim_for_seat(family(), wefti_member, claimed, claimed_ticket))
        wefti_claim_begin(family(), wefti_member, getpid());
    step_end();
}

/* Whether the seat or the record is another than when this was last asked. */
static bool claim_changed(void)
{
    static struct {
        struct wefti_seat seat;
        struct wefti_process process;
    } before, now;
    now.seat = family()->seats[*claimed_seat];
    now.process = *claimed;
    bool changed = memcmp(&before, &now, sizeof(now)) != 0;
    before = now;
    return changed;
}

/* Either it is asked for again, and whoever comes can have it; or it has ended, and was told. */
static void claim_is_settled(bool again)
{
    if (again) {
        step_must(claimed->state == WEFTI_PROCESS_NEW &&
                  claimed->held == wefti_held_word(claimed_ticket, WEFTI_PROCESS_MAKERS | WEFTI_PROCESS_SUPERVISORS));
        step_must(wefti_claim(claimed, claimed_ticket, 9) && !wefti_claim(claimed, claimed_ticket, 10));
    } else
        step_must(claimed->state == WEFTI_PROCESS_ENDED && claimed->status == SIGKILL &&
                  claimed->held == wefti_held_word(claimed_ticket, WEFTI_PROCESS_MAKERS));
}

static void claim_check(void)
{
    claim_is_settled(wefti_claim_end(family(), *claimed_seat, SIGKILL));
}

START_TEST(who_takes_a_request_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_uint_gt(
        step_through(&(struct step_plan){.prepare = claim_prepare, .body = claim_steps, .check = claim_check, .matters = claim_changed}),
        5);
}
END_TEST

/* As wefti_claim_begin had come to that store. */
static void claim_prepare_begun(void)
{
    claim_prepare();
    *claimed_seat = WEFTI_SEATS - 1;
    ck_assert(wefti_claim_for_seat(family(), *claimed_seat, claimed, claimed_ticket));
    claimed->state = WEFTI_PROCESS_RUNS;
}

static void claim_prepare_claimed(void)
{
    claim_prepare_begun();
    claimed->state = WEFTI_PROCESS_NEW;
}

static void claim_end_steps(void)
{
    step_begin();
    wefti_claim_end(family(), *claimed_seat, SIGKILL);
    step_end();
}

/* The next supervisor does the same again. */
static void claim_end_check(void)
{
    wefti_claim_end(family(), *claimed_seat, SIGKILL);
    claim_is_settled(claimed->state == WEFTI_PROCESS_NEW);
}

static void claim_prepare_let_go(void)
{
    claim_prepare_begun();
    wefti_process_let_go(claimed); /* its maker is faster than who says that it has ended */
}

static void claim_prepare_nobodys(void)
{
    claim_prepare_claimed();
    wefti_process_let_go(claimed); /* its maker died, and nobody will ask again */
}

static void claim_end_check_freed(void)
{
    wefti_claim_end(family(), *claimed_seat, SIGKILL);
    step_must(!wefti_block_committed(claimed));
}

START_TEST(who_puts_a_request_right_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    struct step_plan plan = {.prepare = claim_prepare_begun, .body = claim_end_steps, .check = claim_end_check, .matters = claim_changed};
    ck_assert_uint_ge(step_through(&plan), 3);
    plan.prepare = claim_prepare_claimed;
    ck_assert_uint_ge(step_through(&plan), 2);
    plan = (struct step_plan){.prepare = claim_prepare_let_go, .body = claim_end_steps, .check = claim_end_check_freed};
    ck_assert_uint_ge(step_through(&plan), 5);
    plan.prepare = claim_prepare_nobodys;
    ck_assert_uint_ge(step_through(&plan), 5);
}
END_TEST

static void refuse_steps(void)
{
    step_begin();
    wefti_claim_refuse(claimed, claimed_ticket, EAGAIN);
    step_end();
}

/* It is asked for again, unless it has been said: then its maker lets go. */
static void refuse_check(void)
{
    if (claimed->state == WEFTI_PROCESS_NEW)
        wefti_claim_refuse(claimed, claimed_ticket, EAGAIN);
    step_must(claimed->state == WEFTI_PROCESS_REFUSED && claimed->error == EAGAIN);
    wefti_claim_refused(claimed, claimed_ticket);
    step_must(claimed->held == wefti_held_word(claimed_ticket, WEFTI_PROCESS_MAKERS));
    wefti_claim_refuse(claimed, claimed_ticket, EMFILE);
    step_must(claimed->error == EAGAIN);
    wefti_process_let_go(claimed);
    step_must(!wefti_block_committed(claimed));
}

START_TEST(who_refuses_a_request_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_uint_ge(step_through(&(struct step_plan){.prepare = claim_prepare, .body = refuse_steps, .check = refuse_check}), 5);
}
END_TEST

/* As a supervisor left it that was about to refuse it, and died. */
static struct wefti_process *unsaid(void)
{
    struct wefti_process *process = wefti_process_new(counts, NULL);
    MUST(process && wefti_claim(process, wefti_held_ticket(&process->held), WEFTI_CLAIM_REFUSED));
    process->held |= WEFTI_PROCESS_SUPERVISORS;
    return process;
}

static void root_of_unsaid_refusals(void)
{
    MUST(wefti_family_begin() == 0);
    for (int i = 0; i < 2; i++) { /* the supervisor has it; one that stands by has */
        struct wefti_process *process = unsaid();
        MUST(wefti_process_start(process) == -1 && errno == EAGAIN && process->state == WEFTI_PROCESS_REFUSED);
        wefti_process_let_go(process);
        MUST(!wefti_block_committed(process));
        ended(start(counts, NULL));
        ready_other_than(0);
    }
}

START_TEST(a_refusal_that_was_not_said_is_said_by_the_next_supervisor)
{
    NEEDS_PIDFDS;
    root_runs(root_of_unsaid_refusals);
}
END_TEST

/* Whoever looks after the seat leaves a record alone that its maker may let go of. */
START_TEST(a_refused_record_is_nobodys_but_its_makers)
{
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    claim_prepare_claimed();
    ck_assert_ptr_eq(wefti_claimed(family(), *claimed_seat), claimed);
    wefti_process_refuse(claimed, EMFILE);
    wefti_claim_end(family(), *claimed_seat, SIGKILL);
    ck_assert_ptr_null(wefti_claimed(family(), *claimed_seat));
    wefti_process_let_go(claimed);
    ck_assert(!wefti_block_committed(claimed));
}
END_TEST

static void let_go_prepare(void)
{
    claim_prepare();
    claimed->held &= ~(uint64_t)WEFTI_PROCESS_SUPERVISORS; /* it has ended */
}

/* The process that will let go makes the record, too: so that its holding stands among that one's. */
static void let_go_steps(void)
{
    *claimed_seat = wefti_member;
    struct wefti_process *own = wefti_process_new(counts, NULL);
    __atomic_store_n(&claimed->data, own, __ATOMIC_RELEASE);
    step_begin();
    wefti_process_let_go(own);
    step_end();
}

static void let_go_check(void)
{
    step_must(!wefti_block_committed(claimed->data));
}

START_TEST(who_lets_go_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_uint_ge(
        step_through(&(struct step_plan){
            .prepare = let_go_prepare, .body = let_go_steps, .check = let_go_check, .mender_points = 400, .mender_stride = 101}),
        5);
}
END_TEST

static int makes_and_dies(struct wefti_process *self)
{
    start(sleeps, NULL);
    MUST(wefti_process_new(counts, NULL));
    ended(start(counts, NULL));
    raise(SIGKILL);
    return self->pid;
}

static void root_of_dying_makers(void)
{
    struct wefti_blocks_census before, after;
    ended(start(makes_and_dies, NULL)); /* what a seat's first member leaves to the next is there */
    wefti_blocks_count(&before);
    for (int i = 0; i < 3; i++)
        ended(start(makes_and_dies, NULL));
    wefti_blocks_count(&after);
    MUST(after.wrong == 0 && after.in_hand == 0);
    MUST(after.committed <= before.committed + 2 * 3 * 2); /* the sleepers' records and lives, and none of the others' */
}

START_TEST(the_records_of_a_dead_maker_are_freed)
{
    NEEDS_PIDFDS;
    root_runs(root_of_dying_makers);
}
END_TEST

static void *pauses(void *unused)
{
    pause();
    return unused;
}

static void root_with_threads(void)
{
    pthread_t thread;
    struct wefti_process process = {.main = sleeps};
    MUST(wefti_process_start(&process) == -1 && errno == ESTALE); /* no family yet */
    MUST(pthread_create(&thread, NULL, pauses, NULL) == 0);
    MUST(wefti_family_begin() == -1 && errno == EBUSY);
}

START_TEST(a_family_begins_before_there_are_threads)
{
    NEEDS_PIDFDS;
    root_runs(root_with_threads);
}
END_TEST

/* Each process costs the supervisor a descriptor, and each request four. */
static void root_with_few_descriptors(void)
{
    struct wefti_process *processes[20];
    int count = 0, error = 0;
    MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){18, 18}) == 0 && wefti_family_begin() == 0);
    for (; !error; count++) {
        MUST(count < 20 && (processes[count] = wefti_process_new(sleeps, NULL)));
        error = wefti_process_start(processes[count]) == 0 ? 0 : errno;
    }
    MUST(error == EMFILE && count > 2);
    for (int i = 0; i < count - 1; i++)
        MUST(kill(processes[i]->pid, SIGKILL) == 0 && WIFSIGNALED(ended(processes[i])));
    MUST(ended(start(counts, NULL)) == 7 << 8);
}

START_TEST(want_of_descriptors_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_with_few_descriptors);
}
END_TEST

/* The family begins with a few descriptors more each time, until there are enough. */
static void root_with_few_to_begin_with(void)
{
    int lowest = dup(0), few = 0;
    close(lowest);
    for (; few < 20; few++) {
        MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)(lowest + few), 100}) == 0);
        if (wefti_family_begin() == 0)
            break;
        MUST(errno == EMFILE);
    }
    MUST(few > 3 && few < 20);
}

START_TEST(a_family_that_lacks_descriptors_says_so)
{
    NEEDS_PIDFDS;
    root_runs(root_with_few_to_begin_with);
}
END_TEST

#ifdef WEFTI_SMALL
static void root_of_too_many(void)
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
    MUST(ended(start(counts, weft_shared_new(int))) == 7 << 8);
}

START_TEST(a_full_table_says_so)
{
    NEEDS_PIDFDS;
    root_runs(root_of_too_many);
}
END_TEST

static long failing;

/* It fails and says so, or gets over it; then all of it works. */
static void root_with_a_fault(void)
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
    if (!reached)
        fixture_leave(99);
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
    tcase_add_test(tests, no_descriptor_of_a_family_is_a_stream);
    tcase_add_test(tests, the_host_sees_no_children);
    tcase_add_test(tests, processes_start_processes);
    tcase_add_test(tests, nothing_outlives_the_root);
    tcase_add_test(tests, a_fork_of_the_hosts_holds_nothing_up);
    tcase_add_test(tests, a_dead_supervisor_is_replaced);
    tcase_add_test(tests, what_a_dead_supervisor_had_in_hand_is_taken_back);
    tcase_add_loop_test(tests, who_takes_in_orphans_sees_no_children, 0, 2);
    tcase_add_test(tests, a_dead_spare_is_replaced_and_nobody_notices);
    tcase_add_test(tests, the_death_of_both_is_told_and_takes_the_processes_along);
    tcase_add_test(tests, processes_can_be_had_while_supervisors_die);
    tcase_add_test(tests, a_fork_of_the_hosts_can_be_adopted);
    tcase_add_test(tests, one_stands_by_from_the_first_request_on);
    tcase_add_test(tests, who_stands_by_may_die);
    tcase_add_test(tests, a_request_does_not_die_with_who_has_it);
    tcase_add_test(tests, who_stands_by_dies_with_the_family);
    tcase_add_test(tests, a_fork_whose_maker_dies_before_it_is_adopted_ends);
    tcase_add_test(tests, who_takes_a_request_may_die_at_any_instruction);
    tcase_add_test(tests, who_puts_a_request_right_may_die_at_any_instruction);
    tcase_add_test(tests, who_refuses_a_request_may_die_at_any_instruction);
    tcase_add_test(tests, a_refusal_that_was_not_said_is_said_by_the_next_supervisor);
    tcase_add_test(tests, a_refused_record_is_nobodys_but_its_makers);
    tcase_add_test(tests, who_lets_go_may_die_at_any_instruction);
    tcase_add_test(tests, the_records_of_a_dead_maker_are_freed);
    tcase_add_test(tests, all_who_wait_are_told);
    tcase_add_test(tests, a_family_begins_before_there_are_threads);
    tcase_add_test(tests, want_of_descriptors_is_told);
    tcase_add_test(tests, a_family_that_lacks_descriptors_says_so);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, a_full_table_says_so);
    tcase_add_test(tests, whatever_it_asks_for_may_fail);
#endif
}

int main(void)
{
    return fixture_main("family", add);
}
