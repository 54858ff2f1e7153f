/* SPDX-License-Identifier: MIT */
/*
 * Huge pages in the supervisor: what of its memory comes to lie in them, and that processes find it there. By a root, which touches its
 * memory before its family begins.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "family_process.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { MEGABYTE = 1 << 20, HUGE = 2 * MEGABYTE, FULL = 64 * MEGABYTE, SPARSE = 8 * MEGABYTE };

/* Kilobytes of the supervisor's mapping that begins there which are in huge pages; -1: there is no such mapping. */
static long supervisor_huge(const void *place)
{
    char path[64], line[256];
    unsigned long from, to;
    long huge = -1;
    snprintf(path, sizeof(path), "/proc/%d/smaps", wefti_family_now()->supervisor);
    FILE *maps = fopen(path, "re");
    for (bool here = false; maps && fgets(line, sizeof(line), maps);) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = from == (uintptr_t)place;
        else if (here && sscanf(line, "AnonHugePages: %ld", &huge) == 1)
            break;
    }
    fclose(maps);
    return huge;
}

/* An area that is a mapping of its own and begins where a huge page does. */
static char *area_map(size_t size)
{
    char *area = mmap(NULL, size + (size_t)2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(area != MAP_FAILED);
    area = (char *)(((uintptr_t)area + HUGE) & ~(uintptr_t)(HUGE - 1)); /* NOLINT */
    MUST(mprotect(area, size, PROT_READ | PROT_WRITE) == 0);
    return area;
}

static bool can_collapse(void)
{
    char *area = area_map(HUGE);
    for (size_t i = 0; i < HUGE; i += 4096)
        area[i] = 1;
    return madvise(area, HUGE, MADV_COLLAPSE) == 0;
}

static int nothing(struct wefti_process *self)
{
    (void)self;
    return 7;
}

static const char *full;

static int compares(struct wefti_process *self)
{
    (void)self;
    for (size_t i = 0; i < FULL; i += 4096)
        MUST(full[i] == (char)(i >> 12));
    return 7;
}

static void root_of_many_pages(void)
{
    char *filled = area_map(FULL), *refused = area_map(HUGE), *sparse = area_map(SPARSE);
    madvise(refused, HUGE, MADV_NOHUGEPAGE);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    for (size_t i = 0; i < FULL; i += 4096)
        filled[i] = (char)(i >> 12);
    memset(refused, 1, HUGE);
    for (size_t page = 0; page < SPARSE / 4096; page++)
        if (page % 5)
            sparse[page * 4096] = 1;
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    full = filled;
    for (int i = 0; i < 400; i++)
        MUST(WEXITSTATUS(ended(start(nothing, NULL))) == 7);
    long huge = supervisor_huge(filled);
    MUST(huge >= HUGE >> 10 && huge <= 32 * MEGABYTE >> 10 && supervisor_huge(sparse) == 0 && supervisor_huge(refused) == 0);
    MUST(WEXITSTATUS(ended(start(compares, NULL))) == 7);
}

START_TEST(what_the_program_had_touched_comes_to_lie_in_them)
{
    NEEDS_PIDFDS;
    if (FIXTURE_ASAN || FIXTURE_TSAN || !can_collapse())
        fixture_skip("no huge page is to be had, or there is a sanitizer's memory to be looked through first");
    root_runs(root_of_many_pages);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, what_the_program_had_touched_comes_to_lie_in_them);
}

int main(void)
{
    return fixture_main("huge_pages", add);
}
