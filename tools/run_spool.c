/* SPDX-License-Identifier: MIT */
/*
 * See run_spool.h. Pieces are written at the end of the file and never moved; their blocks are punched out when they are dropped, and the
 * file begins anew when nothing in it is alive. The lock is held for the bookkeeping only, never while writing: a piece is its output's
 * alone.
 */
#include "run_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"

#ifdef WEFTI_SMALL
enum { OUTPUT_IN_MEMORY = 256, SPOOL_IN_MEMORY = 4096, SPOOL_READ = 64 };
#else
enum { OUTPUT_IN_MEMORY = 65536, SPOOL_IN_MEMORY = 8 << 20, SPOOL_READ = 16384 };
#endif

int run_spool_file(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    struct text path = {0};
    text_format(&path, "%s/weft-XXXXXX", folder);
    fd = mkostemp(path.at, O_CLOEXEC);
    if (fd < 0)
        complain("cannot make a temporary file in %s: %s", folder, strerror(errno));
    else
        unlink(path.at);
    text_free(&path);
    return fd;
}

static int spool_write_at(int fd, const char *data, size_t length, off_t at)
{
    while (length) {
        ssize_t written = at < 0 ? write(fd, data, length) : pwrite(fd, data, length, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            complain("cannot write to a temporary file: %s", strerror(written ? errno : ENOSPC));
            return -1;
        }
        data += written;
        length -= (size_t)written;
        at += at < 0 ? 0 : written;
    }
    return 0;
}

int run_spool_write(int fd, const void *data, size_t length)
{
    return spool_write_at(fd, data, length, -1);
}

void run_spool_begin(struct run_spool *spool, const char *folder)
{
    *spool = (struct run_spool){.folder = folder, .fd = -1};
}

void run_spool_end(struct run_spool *spool)
{
    if (spool->fd >= 0)
        close(spool->fd);
}

/* Sets aside a place in the file. */
static int spool_take_place(struct run_spool *spool, size_t length, off_t *at)
{
    weft_with (&spool->lock) {
        if (spool->fd < 0)
            spool->fd = run_spool_file(spool->folder);
        if (spool->fd < 0)
            return -1;
        *at = spool->end;
        spool->end += (off_t)length;
        spool->live += (off_t)length;
    }
    return 0;
}

static void output_add_piece(struct run_output *output, struct run_piece piece)
{
    struct run_piece *last = output->count ? &output->pieces[output->count - 1] : NULL;
    if (last && last->at + (off_t)last->length == piece.at) {
        last->length += piece.length;
        return;
    }
    if ((output->count & (output->count - 1)) == 0)
        output->pieces = memory_resize(output->pieces, (output->count ? output->count * 2 : 1) * sizeof *output->pieces);
    output->pieces[output->count++] = piece;
}

static void spool_count(struct run_spool *spool, size_t more, size_t less)
{
    __atomic_fetch_add(&spool->in_memory, more - less, __ATOMIC_RELAXED);
}

static int output_to_file(struct run_spool *spool, struct run_output *output)
{
    struct run_piece piece = {.length = output->memory.length};
    if (piece.length == 0)
        return 0;
    if (spool_take_place(spool, piece.length, &piece.at) != 0)
        return -1;
    output_add_piece(output, piece);
    spool_count(spool, 0, piece.length);
    int written = spool_write_at(spool->fd, output->memory.at, piece.length, piece.at);
    text_clear(&output->memory);
    return written;
}

int run_output_add(struct run_spool *spool, struct run_output *output, const void *data, size_t length)
{
    if (output->memory.length + length > OUTPUT_IN_MEMORY && output_to_file(spool, output) != 0)
        return -1;
    text_add(&output->memory, data, length);
    output->length += length;
    spool_count(spool, length, 0);
    return 0;
}

int run_output_settle(struct run_spool *spool, struct run_output *output)
{
    if (__atomic_load_n(&spool->in_memory, __ATOMIC_RELAXED) <= SPOOL_IN_MEMORY)
        return 0;
    int moved = output_to_file(spool, output);
    text_free(&output->memory);
    return moved;
}

static int piece_each(const struct run_spool *spool, struct run_piece piece, int (*take)(void *data, struct span octets), void *data)
{
    char octets[SPOOL_READ];
    while (piece.length) {
        size_t wanted = piece.length < sizeof octets ? piece.length : sizeof octets;
        ssize_t length = pread(spool->fd, octets, wanted, piece.at);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0) {
            complain("cannot read a temporary file: %s", length ? strerror(errno) : "it is too short");
            return -1;
        }
        int taken = take(data, (struct span){octets, (size_t)length});
        if (taken != 0)
            return taken;
        piece.at += length;
        piece.length -= (size_t)length;
    }
    return 0;
}

int run_output_each(struct run_spool *spool, const struct run_output *output, int (*take)(void *data, struct span octets), void *data)
{
    for (size_t i = 0; i < output->count; i++) {
        int taken = piece_each(spool, output->pieces[i], take, data);
        if (taken != 0)
            return taken;
    }
    return output->memory.length ? take(data, text_span(&output->memory)) : 0;
}

static void spool_give_back(struct run_spool *spool, struct run_piece piece)
{
    weft_with (&spool->lock) {
        spool->live -= (off_t)piece.length;
        int kept;
        if (spool->live == 0) {
            kept = ftruncate(spool->fd, 0);
            spool->end = 0;
        } else {
            kept = fallocate(spool->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, piece.at, (off_t)piece.length);
        }
        (void)kept; /* a file system that cannot: the space comes back at the end */
    }
}

void run_output_drop(struct run_spool *spool, struct run_output *output)
{
    for (size_t i = 0; i < output->count; i++)
        spool_give_back(spool, output->pieces[i]);
    spool_count(spool, 0, output->memory.length);
    text_free(&output->memory);
    free(output->pieces);
    *output = (struct run_output){0};
}
