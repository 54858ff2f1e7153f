/* SPDX-License-Identifier: MIT */
/*
 * Values in the arena: arguments and results of tasks that are run by other processes.
 *
 * A block that has a value stands in its record before it is committed, and out of it before it is freed. So whoever dies in between, the
 * block is in his hand, and the sweep takes it back, or the mender finds it in the record. The record is cleared by one process at a time:
 * whoever has it RESERVED, RUNNING or FREEING, or the mender of a dead one.
 */

#include <errno.h>
#include <string.h>

#include "pool/process.h"

static int pack_scalar(weft_value value, struct wefti_packed *packed)
{
    if (value.kind == WEFT_PTR && value.as.pointer && !wefti_is_shared(value.as.pointer)) {
        errno = EFAULT;
        return -1;
    }
    packed->as.integer = value.as.integer;
    packed->form = value.kind;
    return 0;
}

static int pack_block(weft_value value, struct wefti_packed *packed, size_t length)
{
    uint64_t *block = wefti_block_take(sizeof(uint64_t) + length);
    if (!block)
        return -1;
    ssize_t written = wefti_flat_write(value, block + 1, length, weft_is_shared);
    if (written < 0) {
        int error = errno;
        wefti_block_cancel(block, sizeof(uint64_t) + length);
        errno = error;
        return -1;
    }
    *block = (uint64_t)written;
    packed->as.pointer = block;
    __atomic_store_n(&packed->form, WEFTI_PACKED_BLOCK, __ATOMIC_RELEASE);
    wefti_block_commit(block, sizeof(uint64_t) + length);
    return 0;
}

int wefti_pack(weft_value value, struct wefti_packed *packed, unsigned char *room)
{
    if (value.kind <= WEFT_PTR)
        return pack_scalar(value, packed);
    ssize_t length = wefti_flat_write(value, room, WEFTI_PACKED_ROOM, weft_is_shared);
    if (length < 0)
        return -1;
    if (length > WEFTI_PACKED_ROOM)
        return pack_block(value, packed, (size_t)length);
    packed->length = (uint32_t)length;
    packed->form = WEFTI_PACKED_HERE;
    return 0;
}

weft_value wefti_unpack(const struct wefti_packed *packed, const unsigned char *room)
{
    if (packed->form <= WEFT_PTR) {
        weft_value scalar = {.kind = packed->form};
        scalar.as.integer = packed->as.integer;
        return scalar;
    }
    weft_value value = weft_none;
    const uint64_t *block = packed->as.pointer;
    int failed = packed->form == WEFTI_PACKED_HERE ? wefti_flat_read(room, packed->length, &value)
                                                   : wefti_flat_read(block + 1, (size_t)*block, &value);
    return failed ? weft_error(errno, NULL) : value;
}

void wefti_packed_free(struct wefti_packed *packed, uint16_t member)
{
    if (packed->form != WEFTI_PACKED_BLOCK)
        return;
    void *block = packed->as.pointer;
    bool withdrawn = wefti_block_withdraw(block, member) == 0; /* else it is in the dead one's hand already, and will be taken back */
    __atomic_store_n(&packed->form, WEFT_NONE, __ATOMIC_RELEASE);
    if (withdrawn && member == wefti_member)
        wefti_block_discard(block);
}
