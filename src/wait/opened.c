/* SPDX-License-Identifier: MIT */
/*
 * A table of numbers, by descriptor: which opening of it lives, or 0. Each opening has another number, so what somebody knows of an earlier
 * one is not taken for knowledge of this one: that is all the table is for. The last bit says whether it is a TCP socket. Numbers come
 * round after 2^31 - 16 openings.
 *
 * A row is put in by compare-and-swap, once, and stays: release there, acquire of the reader, who sees it zeroed. An entry is written by
 * who opens or closes the descriptor; whoever hands a descriptor to another thread orders that by itself.
 *
 * fork: the child has the same descriptors, and the same table.
 */

#include "wait/opened.h"

#include "base/large.h"
#include "base/memory.h"

WEFTI_LARGE uint32_t *wefti_opened_rows[WEFTI_OPENED_ROWS];
static uint32_t opened_last;

/* The entry of a number, or NULL. */
static uint32_t *opened_entry(int descriptor, bool make)
{
    unsigned number = (unsigned)descriptor;
    if (number >= (unsigned)WEFTI_OPENED_ROW * WEFTI_OPENED_ROWS)
        return NULL;
    uint32_t **place = &wefti_opened_rows[number >> WEFTI_OPENED_SHIFT];
    uint32_t *row = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (!row && make && (row = wefti_alloc(WEFTI_OPENED_ROW * sizeof(*row)))) {
        uint32_t *before = NULL;
        if (!__atomic_compare_exchange_n(place, &before, row, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            wefti_release(row);
            row = before;
        }
    }
    return row ? &row[number & (WEFTI_OPENED_ROW - 1)] : NULL;
}

void wefti_opened_begin(int descriptor, bool tcp)
{
    uint32_t *entry = opened_entry(descriptor, true);
    if (!entry)
        return;
    uint32_t number;
    do
        number = __atomic_add_fetch(&opened_last, 2, __ATOMIC_RELAXED) | tcp;
    while (number < 2 || number > UINT32_MAX - 16);
    __atomic_store_n(entry, number, __ATOMIC_RELAXED);
}

void wefti_opened_end(int descriptor)
{
    uint32_t *entry = opened_entry(descriptor, false);
    if (entry)
        __atomic_store_n(entry, 0, __ATOMIC_RELAXED);
}

void wefti_opened_end_all(int first, int last)
{
    enum { ALL = WEFTI_OPENED_ROW * WEFTI_OPENED_ROWS };
    if (first < 0)
        first = 0;
    if (last >= ALL)
        last = ALL - 1;
    while (first <= last) {
        if (opened_entry(first, false))
            wefti_opened_end(first++);
        else
            first = (first | (WEFTI_OPENED_ROW - 1)) + 1; /* nobody has opened any of this row */
    }
}
