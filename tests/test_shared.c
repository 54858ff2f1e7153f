/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/leave.h"
#include "fixture.h"
#include "shared/block.h"

/* Each test's process is the first of a family of its own. */
static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(1 << 20), 0);
    ck_assert_ptr_nonnull(wefti_arena_get());
}

static struct wefti_blocks_census census(void)
{
    struct wefti_blocks_census found;
    wefti_blocks_count(&found);
    ck_assert_uint_eq(found.wrong, 0);
    return found;
}

static bool all_zero(const char *octets, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (octets[i])
            return false;
    return true;
}

START_TEST(blocks_are_zeroed_and_aligned)
{
    for (size_t size = 1; size < 200000; size += size / 7 + 1) {
        char *block = weft_shared_alloc(size);
        ck_assert_ptr_nonnull(block);
        ck_assert(weft_is_shared(block) && weft_is_shared(block + size - 1));
        ck_assert_uint_eq((uintptr_t)block % (size >= 64 ? 64 : 16), 0);
        ck_assert_uint_ge(wefti_block_size(block), size);
        ck_assert(all_zero(block, size));
        memset(block, 0xa5, size); /* what the next one of this size must not show */
        ck_assert_int_eq(weft_shared_free(block), 0);
    }
    ck_assert_uint_eq(census().committed, 0);
    ck_assert_uint_eq(census().octets, 0);
}
END_TEST

START_TEST(an_object_is_made_by_its_type)
{
    struct pair {
        uint64_t a, b;
    };
    struct pair *pair = weft_shared_new(struct pair);
    ck_assert_ptr_nonnull(pair);
    ck_assert_uint_eq(pair->a | pair->b, 0);
    ck_assert_int_eq(weft_shared_free(pair), 0);
}
END_TEST

START_TEST(blocks_do_not_overlap)
{
    enum { COUNT = 3000 };
    static unsigned char *blocks[COUNT];
    static size_t sizes[COUNT];
    unsigned seed = 1, made = 0;
    for (; made < COUNT; made++) {
        sizes[made] = (size_t)rand_r(&seed) % (made % 100 == 0 ? 100000 : 200) + 1;
        blocks[made] = weft_shared_alloc(sizes[made]);
        if (!blocks[made])
            break;
        memset(blocks[made], (int)(made % 255), sizes[made]);
    }
    ck_assert_uint_gt(made, 100);
    ck_assert_uint_eq(census().committed, made);
    for (unsigned i = 0; i < made; i++) {
        for (size_t at = 0; at < sizes[i]; at++)
            ck_assert_uint_eq(blocks[i][at], i % 255);
        ck_assert_int_eq(weft_shared_free(blocks[i]), 0);
    }
    ck_assert_uint_eq(census().committed, 0);
}
END_TEST

START_TEST(a_full_arena_says_so_and_has_room_again)
{
    static void *blocks[100000];
    for (size_t size = 100000; size >= 64; size /= 10) {
        size_t count = 0;
        while ((blocks[count] = weft_shared_alloc(size)))
            count++;
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_uint_ge(count * size, 600000);
        ck_fails_null(weft_shared_alloc(1 << 30), ENOMEM);
        while (count > 0)
            ck_assert_int_eq(weft_shared_free(blocks[--count]), 0);
    }
    void *large = weft_shared_alloc(700000); /* slabs that are empty have been given back, but for a few */
    ck_assert_ptr_nonnull(large);
    ck_assert_int_eq(weft_shared_free(large), 0);
}
END_TEST

START_TEST(what_is_no_block_is_not_freed)
{
    char *small = weft_shared_alloc(100), *large = weft_shared_alloc(200000), local[64];
    ck_assert_int_eq(weft_shared_free(NULL), 0);
    ck_fails(weft_shared_free(local), EINVAL);
    ck_fails(weft_shared_free(small + 1), EINVAL);
    ck_fails(weft_shared_free(small + 128), EINVAL); /* one that is on the shelf */
    ck_fails(weft_shared_free((void *)((uintptr_t)small & ~(uintptr_t)(WEFTI_CHUNK - 1))), EINVAL);
    ck_fails(weft_shared_free(large + 1), EINVAL);
    ck_fails(weft_shared_free(large + WEFTI_CHUNK), EINVAL);
    ck_fails(weft_shared_free((void *)wefti_arena_base), EINVAL);
    ck_fails(weft_shared_free((char *)wefti_arena_base + wefti_arena_size - 1), EINVAL);
    ck_assert_uint_eq(wefti_block_size(small + 1) + wefti_block_size(large + WEFTI_CHUNK) + wefti_block_size(local), 0);
    ck_assert_int_eq(weft_shared_free(small), 0);
    ck_fails(weft_shared_free(small), EINVAL);
    ck_assert_int_eq(weft_shared_free(large), 0);
    ck_fails(weft_shared_free(large), EINVAL);
    ck_fails_null(weft_shared_alloc(0), EINVAL);
    ck_assert(!weft_is_shared(local) && !weft_is_shared(NULL) && !weft_is_shared((char *)wefti_arena_base - 1));
}
END_TEST

START_TEST(the_size_is_said_before_the_first_use)
{
    ck_fails(weft_shared_limit(1 << 21), EBUSY);
    ck_fails(weft_shared_limit(0), EINVAL);
    ck_fails(weft_shared_limit(SIZE_MAX), EINVAL);
}
END_TEST

/* In a child of its own: what happens at a first use that this process has had already is tested there. */
static void in_a_child(int (*check)(void))
{
    pid_t child = fork();
    if (child == 0)
        wefti_leave(check());
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

/* As if this process had none. */
static void forget(void)
{
    wefti_arena_size = 0;
    wefti_member = 2;
}

static int by_default(void)
{
    forget();
    char *block = weft_shared_alloc(1);
    return block && weft_is_shared(block) && wefti_arena_size >= (1 << 20) ? 0 : 1;
}

static int with_small_files(void)
{
    forget();
    weft_shared_limit(1 << 24);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 22, 1 << 22});
    return weft_shared_alloc(1) == NULL && errno == EFBIG ? 0 : 1;
}

static int without_descriptors(void)
{
    forget();
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0});
    return weft_shared_alloc(1) == NULL && errno == EMFILE ? 0 : 1;
}

static int without_places(void)
{
    for (int i = 0; i < 8; i++) { /* each first use takes a place */
        forget();
        weft_shared_limit(1 << 20);
        errno = 0;
        if (!weft_shared_alloc(1))
            return errno == ENOMEM && i > 2 ? 0 : 1;
    }
    return 2;
}

START_TEST(the_first_use_fails_clearly)
{
    in_a_child(by_default);
    in_a_child(with_small_files);
    if (!fixture_copies()) /* Valgrind has descriptors beyond the limit */
        in_a_child(without_descriptors);
    in_a_child(without_places);
}
END_TEST

#ifdef WEFTI_SMALL
static long failing;

static int with_a_fault(void)
{
    forget();
    weft_shared_limit(1 << 20);
    weft_small_fail_after(failing);
    bool failed = weft_shared_alloc(100) == NULL;
    int error = errno;
    bool reached = weft_small_asked() >= failing;
    weft_small_fail_after(0);
    if (failed && error != ENOMEM && error != EMFILE)
        return 1;
    return weft_shared_alloc(100) != NULL && (reached || failing > 3) ? 0 : 2;
}

START_TEST(whatever_the_first_use_asks_for_may_fail)
{
    for (failing = 1; failing < 12; failing++)
        in_a_child(with_a_fault);
}
END_TEST
#endif

/* Whoever has its descriptor can take nothing of it away. */
START_TEST(its_size_is_for_ever)
{
    struct stat file;
    ck_assert_ptr_nonnull(wefti_arena_get());
    int fd = wefti_arena_descriptor();
    ck_assert_int_eq(fstat(fd, &file), 0);
    ck_assert_uint_eq((uint64_t)file.st_size, wefti_arena_size);
    ck_assert_int_lt(file.st_blocks * 512, file.st_size); /* sparse */
    ck_fails(ftruncate(fd, file.st_size / 2), EPERM);
    ck_fails(ftruncate(fd, file.st_size * 2), EPERM);
    ck_fails(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(it_stays_out_of_core_dumps)
{
    char line[512], start[32];
    bool inside = false, seen = false;
    snprintf(start, sizeof(start), "%lx-", (unsigned long)wefti_arena_base);
    FILE *maps = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof(line), maps)) {
        inside = inside ? strstr(line, "VmFlags") == NULL : strncmp(line, start, strlen(start)) == 0;
        if (strstr(line, "VmFlags") && !inside && !seen)
            seen = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    ck_assert(seen);
}
END_TEST

START_TEST(a_forked_child_shares_but_is_no_member)
{
    uint64_t *number = weft_shared_new(uint64_t);
    pid_t child = fork();
    if (child == 0) {
        *number = 42;
        bool refused = weft_shared_alloc(8) == NULL && errno == ESTALE && weft_shared_free(number) == -1 && errno == ESTALE;
        wefti_leave(refused ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(*number, 42);
    ck_assert_int_eq(weft_shared_free(number), 0);
}
END_TEST

START_TEST(what_another_member_made_can_be_freed)
{
    void **block = weft_shared_new(void *);
    pid_t child = fork();
    if (child == 0) {
        wefti_member = 2;
        *block = weft_shared_alloc(100);
        memset(*block, 7, 100);
        wefti_leave(0);
    }
    waitpid(child, NULL, 0);
    ck_assert_uint_eq(((unsigned char *)*block)[99], 7);
    ck_assert_int_eq(weft_shared_free(*block), 0);
    ck_fails(weft_shared_free(*block), EINVAL);
    wefti_blocks_repair(2);
    ck_assert_int_eq(weft_shared_free(block), 0);
    ck_assert_uint_eq(census().committed + census().in_hand + census().chunks_taken, 0);
    void *adopted = weft_shared_alloc(100); /* from the slab of the dead */
    ck_assert_uint_eq((uintptr_t)adopted >> WEFTI_CHUNK_BITS, (uintptr_t)*block >> WEFTI_CHUNK_BITS);
    ck_assert_int_eq(weft_shared_free(adopted), 0);
}
END_TEST

/*
 * Every instruction as the last one. A child does what can be interrupted and is stepped through it; after each instruction the arena is
 * saved, repaired as if the child had died there, looked at, and put back.
 */
struct ledger {
    volatile uint64_t least, most; /* so many blocks are committed, at least and at most: the child's */
    volatile int done;
    void *volatile strangers; /* a large block that a member made who has died since */
};
static struct ledger *ledger;
static unsigned steps;

static void ledger_note(uint64_t least, uint64_t most)
{
    ledger->least = least;
    ledger->most = most;
}

static void one_round(size_t size)
{
    ledger_note(0, 1);
    void *block = wefti_block_take(size); /* zeroing a large one would take an instruction for every 32 octets */
    wefti_block_commit(block, size);
    ledger_note(1, 1);
    ledger_note(0, 1);
    wefti_block_free(block);
    ledger_note(0, 0);
}

static void allocating(void)
{
    ledger_note(0, 1);
    wefti_block_free(ledger->strangers);
    ledger_note(0, 0);
    one_round(30000); /* two of them are a slab, so that slabs come and go */
    one_round(200000);
    void *blocks[5];
    for (uint64_t i = 0; i < 5; i++) {
        ledger_note(i, i + 1);
        blocks[i] = wefti_block_take(30000);
        wefti_block_commit(blocks[i], 30000);
        ledger_note(i + 1, i + 1);
    }
    for (uint64_t i = 5; i-- > 0;) {
        ledger_note(i, i + 1);
        wefti_block_free(blocks[i]);
        ledger_note(i, i);
    }
    wefti_block_cancel(wefti_block_take(30000), 30000);
    wefti_block_cancel(wefti_block_take(100000), 100000);
}

static void repairing(void)
{
    wefti_blocks_repair(2);
}

static pid_t stepped_start(uint16_t member, void (*work)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        wefti_member = member;
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        work();
        ledger->done = 1;
        wefti_leave(0);
    }
    ck_assert_int_eq(waitpid(child, &(int){0}, 0), child);
    return child;
}

static void arena_save(char *to)
{
    memcpy(to, (const void *)wefti_arena_base, wefti_arena_size);
}

/* Between the death and its repair somebody else takes what is free. */
static void whole_after_death(uint16_t member)
{
    void *taken = weft_shared_alloc(2 * WEFTI_CHUNK);
    for (uint16_t dead = 2; dead <= member; dead++)
        wefti_blocks_repair(dead);
    ck_assert_uint_eq(wefti_block_size(taken), 2 * WEFTI_CHUNK);
    ck_assert_int_eq(weft_shared_free(taken), 0);
    struct wefti_blocks_census found = census();
    ck_assert_uint_ge(found.committed, ledger->least);
    ck_assert_uint_le(found.committed, ledger->most);
    ck_assert_uint_eq(found.in_hand + found.chunks_taken, 0);
}

/* True when the child came to its end by this step. */
static bool step(pid_t child)
{
    int status;
    ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) || ledger->done;
}

static void stepped(pid_t child, uint16_t member, char *saved)
{
    while (!step(child)) {
        steps++;
        arena_save(saved);
        whole_after_death(member);
        memcpy((void *)wefti_arena_base, saved, wefti_arena_size);
    }
}

static void child_end(pid_t child)
{
    kill(child, SIGKILL);
    while (waitpid(child, &(int){0}, 0) > 0)
        ;
}

static void ledger_open(void)
{
    ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        wefti_member = 9;
        ledger->strangers = weft_shared_alloc(200000);
        wefti_leave(0);
    }
    waitpid(child, &(int){0}, 0);
    wefti_blocks_repair(9);
    ledger_note(0, 1);
}

START_TEST(a_death_at_any_instruction_is_repaired)
{
    if (fixture_copies() || FIXTURE_TSAN)
        fixture_skip("neither Valgrind nor what ThreadSanitizer adds can be stepped through");
    ledger_open();
    char *saved = malloc(wefti_arena_size);
    pid_t child = stepped_start(2, allocating);
    stepped(child, 2, saved);
    child_end(child);
    ck_assert_uint_gt(steps, 1000);
    free(saved);
    munmap(ledger, sizeof(*ledger));
}
END_TEST

/* The child is killed after so many instructions; another repairs, and may die at any of his. */
static void repair_stepped(unsigned after, char *saved)
{
    ledger->done = 0;
    ledger_note(0, 1); /* the arena is as it was at first; the last one may have been killed with other figures */
    pid_t child = stepped_start(2, allocating);
    for (unsigned i = 0; i < after && !step(child); i++)
        ;
    bool finished = ledger->done;
    child_end(child);
    if (finished)
        return;
    arena_save(saved + wefti_arena_size);
    child = stepped_start(3, repairing);
    stepped(child, 3, saved);
    child_end(child);
    whole_after_death(3);
    memcpy((void *)wefti_arena_base, saved + wefti_arena_size, wefti_arena_size);
    wefti_blocks_repair(2);
    wefti_blocks_repair(3);
}

START_TEST(a_repairer_may_die_at_any_instruction)
{
    if (fixture_copies() || FIXTURE_TSAN)
        fixture_skip("neither Valgrind nor what ThreadSanitizer adds can be stepped through");
    ledger_open();
    char *saved = malloc(2 * wefti_arena_size);
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < 6; i++) {
        char *start = malloc(wefti_arena_size);
        arena_save(start);
        repair_stepped((unsigned)rand_r(&seed) % 3000, saved);
        memcpy((void *)wefti_arena_base, start, wefti_arena_size);
        free(start);
    }
    free(saved);
    munmap(ledger, sizeof(*ledger));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, blocks_are_zeroed_and_aligned);
    tcase_add_test(tests, an_object_is_made_by_its_type);
    tcase_add_test(tests, blocks_do_not_overlap);
    tcase_add_test(tests, a_full_arena_says_so_and_has_room_again);
    tcase_add_test(tests, what_is_no_block_is_not_freed);
    tcase_add_test(tests, the_size_is_said_before_the_first_use);
    tcase_add_test(tests, the_first_use_fails_clearly);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, whatever_the_first_use_asks_for_may_fail);
#endif
    tcase_add_test(tests, its_size_is_for_ever);
    tcase_add_test(tests, it_stays_out_of_core_dumps);
    tcase_add_test(tests, a_forked_child_shares_but_is_no_member);
    tcase_add_test(tests, what_another_member_made_can_be_freed);
    tcase_add_test(tests, a_death_at_any_instruction_is_repaired);
    tcase_add_test(tests, a_repairer_may_die_at_any_instruction);
}

int main(void)
{
    return fixture_main("shared", add);
}
