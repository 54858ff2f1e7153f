/* SPDX-License-Identifier: MIT */
/* Where tasks run, how nice they are, what the kernel calls them, and how many processors there are said to be. */
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "task/placement.h"
#include "task/processors.h"

enum { MANY = 1 << 16 }; /* processors; no kernel has more */

static weft_value nothing(weft_value unused)
{
    return unused;
}

/* The first processor that this process may use, or the last. */
static int processor_own(bool last)
{
    static cpu_set_t set[MANY / CPU_SETSIZE];
    int found = -1;
    ck_assert_int_eq(sched_getaffinity(0, sizeof(set), set), 0);
    for (int i = 0; i < MANY && (last || found < 0); i++)
        if (CPU_ISSET_S((size_t)i, sizeof(set), set))
            found = i;
    return found;
}

/* The processors of the calling thread, as a list of numbers. */
static weft_value processors_tell(weft_value unused)
{
    static cpu_set_t set[MANY / CPU_SETSIZE];
    (void)unused;
    weft_value list = weft_list();
    if (sched_getaffinity(0, sizeof(set), set) != 0)
        return weft_error(errno, NULL);
    for (int i = 0; i < MANY; i++)
        if (CPU_ISSET_S((size_t)i, sizeof(set), set))
            weft_list_append(list, weft_int(i));
    return list;
}

static weft_value result_of(weft_task *task)
{
    weft_value value;
    ck_assert_ptr_nonnull(task);
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    weft_task_free(task);
    return value;
}

START_TEST(a_task_runs_where_it_is_told_to)
{
    weft_value before = processors_tell(weft_none);
    for (int last = 0; last < 2; last++) {
        char list[64];
        int own = processor_own(last);
        snprintf(list, sizeof(list), "%d,%d,65535", own, own); /* what is not there is left out */
        weft_value there = result_of(weft_spawn(WEFT_THREAD, processors_tell, weft_none, .cpus = list));
        ck_assert_uint_eq(weft_length(there), 1);
        ck_assert_int_eq(weft_as_int(weft_list_at(there, 0)), own);
        weft_drop(there);
    }
    weft_value after = processors_tell(weft_none);
    ck_assert(weft_equal(before, after));
    weft_value unasked = result_of(weft_spawn(WEFT_THREAD, processors_tell, weft_none));
    ck_assert(weft_equal(before, unasked));
    weft_drop(before);
    weft_drop(after);
    weft_drop(unasked);
}
END_TEST

/* One after another they are placed as read; the stack is as large as asked, too. */
START_TEST(lists_of_processors_are_read)
{
    static const struct {
        const char *list;
        int count, highest;
    } good[] = {{"0", 1, 0}, {"0-3", 4, 3}, {"1,0", 2, 1}, {"0-3,8,10-20:2", 11, 20}, {"5-5", 1, 5}, {"0-31:8", 4, 24},
        {"1048575", 1, 1048575}, {"1500,1-2", 3, 1500}, {"0-9:100", 1, 0}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct wefti_placement placement;
        ck_assert(wefti_placement_make(&placement, good[i].list, 0));
        ck_assert_int_eq(CPU_COUNT_S(placement.size, placement.set), good[i].count);
        ck_assert(CPU_ISSET_S((size_t)good[i].highest, placement.size, placement.set));
        ck_assert_uint_lt(placement.size, (size_t)good[i].highest / 8 + 64);
        wefti_placement_clear(&placement);
    }
    static const char *const bad[] = {"", ",", "0,", ",0", "0,,1", "-1", "1-", "3-1", "a", "0x1", " 0", "0 ", "0-3:", "0-3:0", "0:2",
        "1048576", "99999999999999999999", "0-99999999999", "0-3-5", "0;1", "+1", "0-3:2:2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_fails_null(weft_spawn(WEFT_THREAD, nothing, weft_none, .cpus = bad[i]), EINVAL);
}
END_TEST

/* What starts a task that cannot be placed has it as before, and can say so to who waits for it. */
START_TEST(a_task_that_cannot_be_placed_is_not_started)
{
    size_t alive = weft_active_count();
    weft_value text = weft_str("still mine");
    ck_fails_null(weft_spawn(WEFT_THREAD, nothing, text, .cpus = "65535", .stack_size = 1 << 20), EINVAL);
    ck_assert_str_eq(weft_as_str(text), "still mine");
    weft_task *task = weft_task_new(WEFT_THREAD, nothing, text, .cpus = "65535");
    ck_assert_ptr_nonnull(task);
    for (int i = 0; i < 2; i++) {
        ck_fails(weft_task_start(task), EINVAL);
        ck_assert_int_eq(weft_task_state_of(task), WEFT_INITIAL);
        ck_assert_uint_eq(weft_task_ident(task), 0);
        ck_fails(weft_task_join(task, WEFT_FOREVER), EINVAL);
    }
    ck_assert_uint_eq(weft_active_count(), alive);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_CANCELLED);
    weft_task_free(task);
}
END_TEST

static weft_value nice_tell(weft_value unused)
{
    (void)unused;
    return weft_int(getpriority(PRIO_PROCESS, 0));
}

START_TEST(a_task_is_as_nice_as_asked)
{
    int own = getpriority(PRIO_PROCESS, 0);
    for (int more = 0; more <= 39; more += 13) {
        int expected = own + more > 19 ? 19 : own + more;
        ck_assert_int_eq(weft_as_int(result_of(weft_spawn(WEFT_THREAD, nice_tell, weft_none, .nice = more))), expected);
    }
    ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), own);
    ck_fails_null(weft_task_new(WEFT_THREAD, nothing, weft_none, .nice = 40), EINVAL);
    ck_fails_null(weft_task_new(WEFT_THREAD, nothing, weft_none, .nice = -40), EINVAL);
}
END_TEST

/* Takes the right to be less nice from this thread, and from those that it starts. */
static void nice_right_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1U << CAP_SYS_NICE);
    ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NICE, &(struct rlimit){.rlim_cur = 0, .rlim_max = 0}), 0);
}

START_TEST(a_task_may_not_be_less_nice_without_the_right)
{
    nice_right_drop();
    ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 5), 0); /* whoever runs this may be nice already */
    ck_fails_null(weft_spawn(WEFT_THREAD, nothing, weft_none, .nice = -1), EACCES);
    weft_task *task = weft_task_new(WEFT_THREAD, nothing, weft_none, .nice = -39);
    ck_fails(weft_task_start(task), EACCES);
    ck_assert_int_eq(weft_task_state_of(task), WEFT_INITIAL);
    weft_task_free(task);
}
END_TEST

/* A task that was cancelled still waits for the thread that it places. */
static weft_value spawn_cancelled(weft_value unused)
{
    (void)unused;
    weft_task_cancel(weft_current());
    weft_task *task = weft_spawn(WEFT_THREAD, nice_tell, weft_none, .nice = 1);
    weft_value value = weft_none;
    weft_shield
    {
        value = result_of(task);
    }
    return value;
}

START_TEST(placing_is_not_cancelled)
{
    int own = getpriority(PRIO_PROCESS, 0);
    weft_value value = result_of(weft_spawn(WEFT_THREAD, spawn_cancelled, weft_none));
    ck_assert_int_eq(weft_as_int(value), own < 19 ? own + 1 : 19);
}
END_TEST

static weft_value kernel_name(weft_value unused)
{
    (void)unused;
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    return weft_str(name);
}

START_TEST(names_are_cut_between_characters)
{
    static const struct {
        const char *name, *kernel;
    } names[] = {
        {"", ""},
        {"fifteen octets.", "fifteen octets."},
        {"sixteen octets..", "sixteen octets."},
        {"12345678901234\xc3\xa9", "12345678901234"},                    /* of two octets, 14 and 15 */
        {"1234567890123\xc3\xa9", "1234567890123\xc3\xa9"},              /* 13 and 14: it fits */
        {"1234567890123\xe2\x82\xac.", "1234567890123"},                 /* of three, from 13 */
        {"12345678901234\xe2\x82\xac", "12345678901234"},                /* from 14 */
        {"123456789012\xf0\x9f\xa7\xb5", "123456789012"},                /* of four, from 12 */
        {"12345678901\xf0\x9f\xa7\xb5.", "12345678901\xf0\x9f\xa7\xb5"}, /* from 11: it fits */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
            "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        weft_value name = result_of(weft_spawn(WEFT_THREAD, kernel_name, weft_none, .name = names[i].name));
        ck_assert_str_eq(weft_as_str(name), names[i].kernel);
        weft_drop(name);
    }
}
END_TEST

START_TEST(a_pools_workers_are_named)
{
    weft_value name;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .name = "squares");
    ck_assert_int_eq(weft_pool_apply(pool, kernel_name, weft_none, &name, WEFT_FOREVER), 0);
    ck_assert_str_eq(weft_as_str(name), "squares-1");
    weft_drop(name);
    weft_pool_free(pool);
}
END_TEST

static weft_pool *narrow_pool(const char *cpus, int nice)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .cpus = cpus, .nice = nice);
    ck_assert_ptr_nonnull(pool);
    return pool;
}

static weft_value result_in(weft_pool *pool, weft_function *function)
{
    weft_value value;
    ck_assert_int_eq(weft_pool_apply(pool, function, weft_none, &value, WEFT_FOREVER), 0);
    return value;
}

START_TEST(a_pools_workers_run_where_they_are_told_to)
{
    char list[] = "0123456789";
    snprintf(list, sizeof(list), "%d", processor_own(true));
    weft_pool *pool = narrow_pool(list, 0);
    memset(list, 'x', sizeof(list) - 1); /* it has been read */
    weft_value there = result_in(pool, processors_tell);
    ck_assert_uint_eq(weft_length(there), 1);
    ck_assert_int_eq(weft_as_int(weft_list_at(there, 0)), processor_own(true));
    weft_drop(there);
    weft_pool_free(pool);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .cpus = "0-"), EINVAL);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .nice = 40), EINVAL);
    pool = narrow_pool("65535", 0);
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none), EINVAL);
    weft_pool_free(pool);
}
END_TEST

/* Waits for another task of its pool, in whose place a worker is started by this one. */
static weft_value nice_of_stand_in(weft_value pool)
{
    weft_future *other = weft_pool_submit(weft_as_ptr(pool), nice_tell, weft_none);
    weft_value value = weft_none;
    ck_assert_int_eq(weft_wait_any(&other, 1, weft_in(60)) == 0 ? 0 : -1, 0);
    ck_assert_int_eq(weft_future_result(other, &value, WEFT_NOW), 0);
    weft_future_free(other);
    return value;
}

START_TEST(a_pools_workers_are_as_nice_as_asked_whoever_starts_them)
{
    int own = getpriority(PRIO_PROCESS, 0), expected = own + 7 > 19 ? 19 : own + 7;
    weft_pool *pool = narrow_pool(NULL, 7);
    ck_assert_int_eq(weft_as_int(result_in(pool, nice_tell)), expected);
    weft_value value;
    ck_assert_int_eq(weft_pool_apply(pool, nice_of_stand_in, weft_ptr(pool), &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), expected);
    weft_pool_free(pool);
    nice_right_drop();
    ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 19), 0);
    pool = narrow_pool(NULL, -1);
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none), EACCES);
    weft_pool_free(pool);
}
END_TEST

static void own_name_is(const char *expected)
{
    weft_value name = kernel_name(weft_none);
    ck_assert_str_eq(weft_as_str(name), expected);
    weft_drop(name);
}

static void *host_thread(void *unused)
{
    prctl(PR_SET_NAME, "the host's");
    weft_current();
    own_name_is("the host's");
    weft_task_set_name(weft_current(), "renamed");
    own_name_is("renamed");
    return unused;
}

/* The program's own threads keep the names that it gave them, until Weft is asked to rename them. */
START_TEST(threads_of_the_host_keep_their_names)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, host_thread, NULL), 0);
    pthread_join(thread, NULL);
    char before[16] = "";
    prctl(PR_GET_NAME, before);
    if (weft_task_native_id(weft_main()) == getpid()) {
        weft_current();
        own_name_is(before);
        ck_assert_int_eq(weft_task_set_name(weft_main(), "host of everything"), 0);
        own_name_is("host of everyth");
        prctl(PR_SET_NAME, before);
    }
}
END_TEST

/* In a child, whose first thread has not yet met Weft when it is named. */
START_TEST(the_main_task_may_be_named_before_it_is_known)
{
    pid_t child = fork();
    if (child == 0) {
        char name[16] = "";
        weft_task_set_name(weft_main(), "early");
        weft_current();
        prctl(PR_GET_NAME, name);
        _exit(strcmp(name, "early") == 0 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* Writes a file under the test's folder, with the folders above it. */
static void fake(const char *path, const char *text)
{
    char name[4096];
    int length = snprintf(name, sizeof(name), "%s%s", fixture_folder(), path);
    ck_assert_int_lt(length, (int)sizeof(name));
    for (char *slash = name + strlen(fixture_folder()); (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        mkdir(name, 0755);
        *slash = '/';
    }
    FILE *file = fopen(name, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void limited(unsigned processors, unsigned expected)
{
    ck_assert_uint_eq(wefti_processors_limited(fixture_folder(), processors), expected);
}

START_TEST(no_cgroups_limit_nothing)
{
    limited(7, 7);
    limited(0, 1);
    fake("/proc/self/cgroup", "");
    limited(7, 7);
    fake("/proc/self/cgroup", "nonsense\n:\n0:\n0::/a\n");
    limited(7, 7);
    fake("/proc/self/mountinfo", "nonsense\n - cgroup2\n31 23 0:28 - cgroup2 x rw\n");
    limited(7, 7);
}
END_TEST

static const char second[] =
    "22 1 0:20 / /proc rw - proc proc rw\n31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

START_TEST(version_2_is_read_along_the_whole_path)
{
    fake("/proc/self/mountinfo", second);
    fake("/proc/self/cgroup", "0::/a/b/c\n");
    limited(64, 64);
    fake("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    limited(64, 64);
    fake("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    limited(64, 3);
    limited(2, 2);
    fake("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    limited(64, 2);
    fake("/sys/fs/cgroup/cpu.max", "10000 100000\n");
    limited(64, 1);
    fake("/sys/fs/cgroup/cpu.max", "max 100000\n");
    fake("/sys/fs/cgroup/a/b/c/cpu.max", "150000 100000\n");
    limited(64, 2);
    fake("/sys/fs/cgroup/a/b/c/cpu.max", "100001 100000\n");
    limited(64, 2);
    fake("/sys/fs/cgroup/a/b/c/cpu.max", "100000 100000\n");
    limited(64, 1);
    fake("/sys/fs/cgroup/a/b/c/cpu.max", "0 100000\n");
    limited(64, 2);
    fake("/sys/fs/cgroup/a/b/c/cpu.max", "100 0\n");
    limited(64, 2);
    fake("/proc/self/cgroup", "0::/\n");
    limited(64, 64);
    fake("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    limited(64, 4);
}
END_TEST

/* What a container sees: a part of the tree, under a path from outside, or one that it has no name for. */
START_TEST(a_part_of_the_tree_is_enough)
{
    fake("/proc/self/mountinfo", "31 23 0:28 /box\\040one /sys/fs/cgroup\\040two rw - cgroup2 cgroup2 rw\n");
    fake("/proc/self/cgroup", "0::/box one/in\n");
    fake("/sys/fs/cgroup two/cpu.max", "300000 100000\n");
    limited(64, 3);
    fake("/sys/fs/cgroup two/in/cpu.max", "100000 100000\n");
    limited(64, 1);
    fake("/proc/self/cgroup", "0::/box one\n");
    limited(64, 3);
    fake("/proc/self/cgroup", "0::/box one else/in\n");
    limited(64, 3);
    fake("/proc/self/cgroup", "0::/../elsewhere\n");
    limited(64, 3);
}
END_TEST

START_TEST(version_1_is_read_too)
{
    fake("/proc/self/cgroup", "5:cpuset:/s\n4:cpu,cpuacct:/a/b\n1:name=systemd:/cpu\n0::/\n");
    fake("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                                 "32 23 0:29 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n"
                                 "33 23 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    fake("/sys/fs/cgroup/cpuset/s/cpu.cfs_quota_us", "1\n");
    fake("/sys/fs/cgroup/cpuset/s/cpu.cfs_period_us", "100000\n");
    limited(64, 64);
    fake("/sys/fs/cgroup/cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    fake("/sys/fs/cgroup/cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    limited(64, 64);
    fake("/sys/fs/cgroup/cpuacct/a/cpu.cfs_quota_us", "550000\n");
    limited(64, 64); /* a quota without a period */
    fake("/sys/fs/cgroup/cpuacct/a/cpu.cfs_period_us", "100000\n");
    limited(64, 6);
    fake("/sys/fs/cgroup/unified/cpu.max", "200000 100000\n");
    limited(64, 2);
}
END_TEST

/* A file larger than what is read at once. */
START_TEST(long_files_are_read_to_their_end)
{
    char *text = malloc(40000);
    size_t length = 0;
    ck_assert_ptr_nonnull(text);
    for (int i = 0; i < 1000; i++)
        length += (size_t)sprintf(text + length, "%d 1 0:20 / /mnt/%d rw - tmpfs x rw\n", i, i);
    strcpy(text + length, second);
    fake("/proc/self/mountinfo", text);
    free(text);
    fake("/proc/self/cgroup", "0::/\n");
    fake("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    limited(64, 2);
}
END_TEST

START_TEST(the_affinity_mask_counts)
{
    unsigned before = weft_cpu_count();
    ck_assert_uint_ge(before, 1);
    ck_assert_uint_le(before, (unsigned)sysconf(_SC_NPROCESSORS_CONF));
    static cpu_set_t one[MANY / CPU_SETSIZE];
    CPU_SET_S((size_t)processor_own(true), sizeof(one), one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), one), 0);
    errno = 17;
    ck_assert_uint_eq(weft_cpu_count(), 1);
    ck_assert_int_eq(errno, 17);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_task_runs_where_it_is_told_to);
    tcase_add_test(tests, lists_of_processors_are_read);
    tcase_add_test(tests, a_task_that_cannot_be_placed_is_not_started);
    tcase_add_test(tests, a_task_is_as_nice_as_asked);
    tcase_add_test(tests, a_task_may_not_be_less_nice_without_the_right);
    tcase_add_test(tests, placing_is_not_cancelled);
    tcase_add_test(tests, names_are_cut_between_characters);
    tcase_add_test(tests, a_pools_workers_are_named);
    tcase_add_test(tests, a_pools_workers_run_where_they_are_told_to);
    tcase_add_test(tests, a_pools_workers_are_as_nice_as_asked_whoever_starts_them);
    tcase_add_test(tests, threads_of_the_host_keep_their_names);
    tcase_add_test(tests, the_main_task_may_be_named_before_it_is_known);
    tcase_add_test(tests, no_cgroups_limit_nothing);
    tcase_add_test(tests, version_2_is_read_along_the_whole_path);
    tcase_add_test(tests, a_part_of_the_tree_is_enough);
    tcase_add_test(tests, version_1_is_read_too);
    tcase_add_test(tests, long_files_are_read_to_their_end);
    tcase_add_test(tests, the_affinity_mask_counts);
}

int main(void)
{
    return fixture_main("placement", add);
}
