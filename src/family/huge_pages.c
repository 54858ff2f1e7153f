/* SPDX-License-Identifier: MIT */
/*
 * Huge pages for what the program had touched before its family began.
 *
 * That is in the image of each process, and each fork copies an entry of every page of it, which the end of the process takes down again:
 * some 30 us for a megabyte of small pages, next to nothing for a huge one. So the supervisor has the kernel put its own copy into huge
 * pages (MADV_COLLAPSE, since Linux 6.1; elsewhere nothing is done): two megabytes at a time, once in a number of processes that it makes,
 * as each takes about a millisecond and saves 60 us of every process after it.
 *
 * The copy is memory that the supervisor shared with the root until then, so there is a bound on it. What is not nearly full would be
 * filled and is left alone, and so is what the program has asked to have in small pages, whom the kernel obeys. The areas are those of the
 * time at which the first is looked for: all are the supervisor's own, and it gives none back.
 */

#include "family/huge_pages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/large.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum {
    HUGE_PAGE = 1 << 21, /* octets: of x86-64, and of others with small pages of 4 KiB */
    SMALL_PAGE = 1 << 12,
    PAGES = HUGE_PAGE / SMALL_PAGE,
    FULL = PAGES * 9 / 10, /* small pages that are there already */
    MOST = 16,             /* huge pages */
    AREAS = 64,            /* that are looked through */
    LOOKS = 32,            /* at the most in one call */
    FORKS = 8,             /* for each huge page: it has paid by then, or soon will have */
};

struct area {
    uintptr_t at, end; /* multiples of HUGE_PAGE */
};

static WEFTI_LARGE struct huge_pages {
    bool listed;
    uint32_t forks;
    size_t count, current, made;
    struct area areas[AREAS];
} huge_pages;

/* Notes what of a line of /proc/self/maps is private memory with no file behind it, and could be written; no stack. */
static void area_note(const char *line)
{
    unsigned long from, to, inode;
    char rights[5], name[8] = "";
    if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu %7s", &from, &to, rights, &inode, name) < 4)
        return;
    struct area area = {.at = (from + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1), .end = to & ~(uintptr_t)(HUGE_PAGE - 1)};
    if (inode == 0 && strcmp(rights, "rw-p") == 0 && strncmp(name, "[stack", 6) != 0 && area.at < area.end)
        huge_pages.areas[huge_pages.count++] = area;
}

static void areas_list(void)
{
    char line[512];
    FILE *maps = sysconf(_SC_PAGESIZE) == SMALL_PAGE ? fopen("/proc/self/maps", "re") : NULL;
    while (maps && huge_pages.count < AREAS && fgets(line, sizeof(line), maps))
        area_note(line);
    if (maps)
        fclose(maps);
    huge_pages.listed = true;
}

static bool is_full(void *place)
{
    unsigned char there[PAGES];
    size_t full = 0;
    if (mincore(place, HUGE_PAGE, there) != 0)
        return false;
    for (size_t i = 0; i < PAGES; i++)
        full += there[i] & 1;
    return full >= FULL;
}

void wefti_huge_pages_forked(void)
{
    if (++huge_pages.forks % FORKS != 0)
        return;
    if (!huge_pages.listed)
        areas_list();
    for (int looks = 0; looks < LOOKS && huge_pages.made < MOST && huge_pages.current < huge_pages.count; looks++) {
        struct area *area = &huge_pages.areas[huge_pages.current];
        void *place = (void *)area->at; /* NOLINT: as the kernel says */
        area->at += HUGE_PAGE;
        huge_pages.current += area->at == area->end;
        if (!is_full(place))
            continue;
        huge_pages.made += madvise(place, HUGE_PAGE, MADV_COLLAPSE) == 0;
        return;
    }
}
