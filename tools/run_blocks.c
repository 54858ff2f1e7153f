/* SPDX-License-Identifier: MIT */
/*
 * See run_blocks.h. Where it is cut is as GNU parallel has it: a block is filled to its size and cut at the last place where a record ends;
 * what follows that place begins the next one. Where there is no such place the size grows by three tenths. A part ends at the first such
 * place that is its size or more from its beginning.
 */
#include "run_blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "run_pattern.h"

enum { BLOCKS_READ = 65536, HEADER_ROOM = 1 << 20 };

/* How far records were counted, from the beginning of what is held. */
struct blocks_scan {
    size_t at, count, last;
};
static const struct blocks_scan scan_start = {.at = 1};

struct run_blocks {
    struct run_blocks_options options;
    struct text mark; /* end and start, one after the other: what stands between two records */
    int *files;
    size_t file; /* the one that is read */
    struct run_pattern header_pattern;
    struct text header;
    bool begun; /* the header was looked for */
    struct text buffer;
    size_t taken; /* octets of the buffer that jobs have got */
    struct blocks_scan scan;
    size_t size;
    bool at_end;
    off_t from, to; /* parts: where the next one begins, and the end of the file */
};

static const char *source_label(const struct run_source_name *source)
{
    return strcmp(source->file, "-") == 0 ? "standard input" : source->file;
}

static int open_one(const struct run_blocks_options *options, const struct run_source_name *source)
{
    int fd = strcmp(source->file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(source->file, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        complain("cannot open %s: %s", source_label(source), strerror(errno));
    } else if (S_ISDIR(status.st_mode)) {
        complain("cannot read %s: %s", source_label(source), strerror(EISDIR));
    } else if (options->parts && !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        complain("--pipe-part needs a file that can be read from anywhere, which %s is not; --pipe reads anything", source_label(source));
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_number(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == '\0';
}

struct run_blocks *run_blocks_open(const struct run_blocks_options *options)
{
    struct run_blocks *blocks = memory_get(sizeof *blocks);
    *blocks = (struct run_blocks){.options = *options, .size = options->size ? options->size : 1};
    text_add_span(&blocks->mark, options->end);
    text_add_span(&blocks->mark, options->start);
    blocks->files = memory_get((options->count + 1) * sizeof *blocks->files);
    bool wrong = options->header && !is_number(options->header) && strcmp(options->header, ":") != 0 &&
                 run_pattern_read(&blocks->header_pattern, "--header", options->header) != 0;
    for (size_t i = 0; i < options->count; i++)
        blocks->files[i] = wrong ? -1 : open_one(options, &options->sources[i]);
    for (size_t i = 0; i < options->count; i++)
        wrong |= blocks->files[i] < 0;
    if (!wrong)
        return blocks;
    run_blocks_close(blocks);
    return NULL;
}

void run_blocks_close(struct run_blocks *blocks)
{
    if (!blocks)
        return;
    for (size_t i = 0; i < blocks->options.count; i++)
        if (blocks->files[i] >= 0)
            close(blocks->files[i]);
    free(blocks->files);
    run_pattern_free(&blocks->header_pattern);
    text_free(&blocks->mark);
    text_free(&blocks->header);
    text_free(&blocks->buffer);
    free(blocks);
}

static struct span blocks_held(const struct run_blocks *blocks)
{
    return (struct span){text_string(&blocks->buffer) + blocks->taken, blocks->buffer.length - blocks->taken};
}

/* Waits until there is something to read. False when it is time to stop. */
static bool blocks_wait(const struct run_blocks *blocks, int fd)
{
    struct pollfd ready[2] = {{.fd = fd, .events = POLLIN}, {.fd = blocks->options.stop, .events = POLLIN}};
    while (poll(ready, 2, -1) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return true;
    return !ready[1].revents;
}

static void buffer_compact(struct run_blocks *blocks)
{
    struct span held = blocks_held(blocks);
    if (blocks->taken < held.length)
        return;
    if (held.length)
        memmove(blocks->buffer.at, held.at, held.length);
    blocks->buffer.length = held.length;
    blocks->taken = 0;
}

/* Reads once, not more than `most`. */
static enum run_input_got read_some(struct run_blocks *blocks, size_t most)
{
    int fd = blocks->files[blocks->file];
    ssize_t length;
    text_reserve(&blocks->buffer, most);
    do {
        if (!blocks_wait(blocks, fd))
            return RUN_INPUT_STOPPED;
        length = read(fd, blocks->buffer.at + blocks->buffer.length, most);
    } while (length < 0 && (errno == EINTR || errno == EAGAIN));
    if (length < 0) {
        complain("cannot read %s: %s", source_label(&blocks->options.sources[blocks->file]), strerror(errno));
        return RUN_INPUT_FAILED;
    }
    blocks->buffer.length += (size_t)length;
    blocks->buffer.at[blocks->buffer.length] = '\0';
    if (length == 0)
        blocks->at_end = ++blocks->file == blocks->options.count;
    return RUN_INPUT_RECORD;
}

/* Fills the buffer to the size of a block, as far as the input reaches. */
static enum run_input_got fill(struct run_blocks *blocks)
{
    enum run_input_got got = RUN_INPUT_RECORD;
    buffer_compact(blocks);
    while (got == RUN_INPUT_RECORD && !blocks->at_end && blocks_held(blocks).length < blocks->size) {
        size_t left = blocks->size - blocks_held(blocks).length;
        got = read_some(blocks, left < BLOCKS_READ ? left : BLOCKS_READ);
    }
    return got;
}

/* How long the header at the beginning of `text` is. */
static size_t header_length(const struct run_blocks *blocks, struct span text)
{
    const char *header = blocks->options.header, *at = text.at, *end = text.at + text.length;
    struct run_match match;
    if (!header)
        return 0;
    if (blocks->header_pattern.ready)
        return run_pattern_find(&blocks->header_pattern, text, 0, &match) && match.at[0].at == text.at ? match.at[0].length : 0;
    for (long lines = *header == ':' ? 1 : atol(header); lines > 0; lines--) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end)
            return 0;
        at = line_end + 1;
    }
    return (size_t)(at - text.at);
}

/*
 * Looks for the n-th place between two records, from where it was looked before; with `most` 0 for the last. A first record that is nothing
 * but what ends it is none. Where it is; 0: it is not there.
 */
static size_t count_marks(struct run_blocks *blocks, struct span text, size_t most, size_t each)
{
    struct blocks_scan *scan = &blocks->scan;
    while (scan->at < text.length && (!most || scan->count < most)) {
        const char *mark = memmem(text.at + scan->at, text.length - scan->at, blocks->mark.at, blocks->mark.length);
        if (!mark)
            break;
        size_t place = (size_t)(mark - text.at);
        scan->at = place + blocks->mark.length;
        if (++scan->count % each == 0)
            scan->last = place + blocks->options.end.length;
    }
    size_t looked = text.length > blocks->mark.length ? text.length - blocks->mark.length + 1 : 0;
    if (scan->at < looked && (!most || scan->count < most))
        scan->at = looked;
    return !most || scan->count == most ? scan->last : 0;
}

/* The last place between two records, by looking backwards; 0: none. */
static size_t last_end(const struct run_blocks *blocks, struct span text)
{
    const struct text *mark = &blocks->mark;
    size_t limit = text.length >= mark->length ? text.length - mark->length + 1 : 0;
    while (limit > 0) {
        const char *found = memrchr(text.at, mark->at[0], limit);
        if (!found)
            return 0;
        size_t at = (size_t)(found - text.at);
        if (memcmp(found, mark->at, mark->length) == 0)
            return at + blocks->options.end.length;
        limit = at;
    }
    return 0;
}

static bool counts_records(const struct run_blocks *blocks)
{
    return blocks->options.records && blocks->mark.length;
}

/* Whether what is held is the last block, however it may be cut. */
static bool is_last(const struct run_blocks *blocks)
{
    return blocks->at_end && (counts_records(blocks) || blocks_held(blocks).length <= blocks->size);
}

/* How much of what is held the next job gets; 0: more must be read, or the size must grow, to know that. */
static size_t find_cut(struct run_blocks *blocks)
{
    struct span held = blocks_held(blocks), block = held;
    size_t cut, lines = blocks->options.lines ? blocks->options.lines : 1;
    if (block.length > blocks->size && !counts_records(blocks))
        block.length = blocks->size;
    if (blocks->mark.length == 0) {
        cut = block.length;
    } else if (blocks->options.records) {
        cut = count_marks(blocks, held, blocks->options.records * lines, lines);
    } else if (lines > 1) {
        blocks->scan = scan_start;
        cut = count_marks(blocks, block, 0, lines);
    } else {
        cut = is_last(blocks) ? held.length : last_end(blocks, block);
    }
    return cut == 0 && is_last(blocks) ? held.length : cut;
}

/* Adds a block without its separators: those between records, and those at its ends. */
static void add_without_marks(const struct run_blocks *blocks, struct span block, struct text *out)
{
    struct span start = blocks->options.start, end = blocks->options.end;
    if (start.length && block.length >= start.length && memcmp(block.at, start.at, start.length) == 0)
        block = (struct span){block.at + start.length, block.length - start.length};
    if (end.length && block.length >= end.length && memcmp(block.at + block.length - end.length, end.at, end.length) == 0)
        block.length -= end.length;
    while (block.length) {
        const char *mark = blocks->mark.length ? memmem(block.at, block.length, blocks->mark.at, blocks->mark.length) : NULL;
        size_t length = mark ? (size_t)(mark - block.at) : block.length, skipped = mark ? blocks->mark.length : 0;
        text_add(out, block.at, length);
        block = (struct span){block.at + length + skipped, block.length - length - skipped};
    }
}

static bool is_blank(struct span text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!text.at[i] || !strchr(" \t\n\r\f\v", text.at[i]))
            return false;
    return true;
}

/* Gives the next `length` octets to a job. False where they make none. */
static bool give(struct run_blocks *blocks, size_t length, struct run_feed *feed)
{
    struct span block = {blocks_held(blocks).at, length};
    blocks->taken += length;
    blocks->scan = scan_start;
    if (blocks->options.skips_blank && is_blank(block))
        return false;
    text_add_span(&feed->text, text_span(&blocks->header));
    size_t before = feed->text.length;
    if (blocks->options.removes)
        add_without_marks(blocks, block, &feed->text);
    else
        text_add_span(&feed->text, block);
    feed->given = feed->text.length > before;
    return feed->given;
}

/* Reads the header: a pattern is looked for in a whole block, lines until they are there. */
static enum run_input_got begin(struct run_blocks *blocks)
{
    enum run_input_got got = blocks->header_pattern.ready ? fill(blocks) : RUN_INPUT_RECORD;
    while (got == RUN_INPUT_RECORD && blocks->options.header && !blocks->at_end && blocks_held(blocks).length < HEADER_ROOM &&
           strcmp(blocks->options.header, "0") != 0 && !blocks->header_pattern.ready && !header_length(blocks, blocks_held(blocks)))
        got = read_some(blocks, BLOCKS_READ);
    size_t length = got == RUN_INPUT_RECORD ? header_length(blocks, blocks_held(blocks)) : 0;
    text_add(&blocks->header, blocks_held(blocks).at, length);
    blocks->taken += length;
    blocks->begun = got == RUN_INPUT_RECORD;
    blocks->scan = scan_start;
    return got;
}

/* Reads until the next job's block is there: records are counted as they come, else the size is filled. */
static enum run_input_got read_block(struct run_blocks *blocks, size_t *cut)
{
    bool counts = counts_records(blocks);
    enum run_input_got got = counts ? RUN_INPUT_RECORD : fill(blocks);
    while (got == RUN_INPUT_RECORD && (*cut = find_cut(blocks)) == 0 && !is_last(blocks)) {
        if (!counts)
            blocks->size += (blocks->size * 3 + 9) / 10 + 1;
        else
            buffer_compact(blocks);
        got = counts ? read_some(blocks, BLOCKS_READ) : fill(blocks);
    }
    return got;
}

static enum run_input_got next_block(struct run_blocks *blocks, struct run_feed *feed)
{
    enum run_input_got got = blocks->begun ? RUN_INPUT_RECORD : begin(blocks);
    while (got == RUN_INPUT_RECORD) {
        size_t cut = 0;
        got = read_block(blocks, &cut);
        if (got == RUN_INPUT_RECORD && cut == 0)
            return RUN_INPUT_END;
        if (got == RUN_INPUT_RECORD && give(blocks, cut, feed))
            return got;
        text_clear(&feed->text);
    }
    return got;
}

/* Reads up to `size` octets of a file from `at` on; -1, having complained. */
static ssize_t read_at(const struct run_blocks *blocks, char *buffer, size_t size, off_t at)
{
    ssize_t length;
    do
        length = pread(blocks->files[blocks->file], buffer, size, at);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        complain("cannot read %s: %s", source_label(&blocks->options.sources[blocks->file]), strerror(errno));
    return length;
}

/* The first place between two records from `at` on, else the end of the file; -1, having complained. */
static off_t find_place(struct run_blocks *blocks, off_t at)
{
    char buffer[BLOCKS_READ];
    size_t length = blocks->mark.length;
    if (length == 0)
        return at;
    while (at < blocks->to) {
        ssize_t got = read_at(blocks, buffer, sizeof buffer, at);
        if (got < 0)
            return -1;
        const char *mark = memmem(buffer, (size_t)got, blocks->mark.at, length);
        if (mark)
            return at + (mark - buffer) + (off_t)blocks->options.end.length;
        if ((size_t)got <= length)
            break;
        at += got - (ssize_t)length + 1;
    }
    return blocks->to;
}

/* Looks at a file whose parts are to be given. */
static int begin_file(struct run_blocks *blocks)
{
    blocks->begun = true;
    blocks->to = lseek(blocks->files[blocks->file], 0, SEEK_END);
    text_clear(&blocks->header);
    if (blocks->options.each)
        blocks->size = (size_t)blocks->to / (blocks->options.each * blocks->options.slots) + 1;
    if (blocks->options.header) {
        text_clear(&blocks->buffer);
        text_reserve(&blocks->buffer, HEADER_ROOM);
        ssize_t length = read_at(blocks, blocks->buffer.at, HEADER_ROOM, 0);
        if (length < 0)
            return -1;
        blocks->buffer.at[length] = '\0';
        text_add(&blocks->header, blocks->buffer.at, header_length(blocks, (struct span){blocks->buffer.at, (size_t)length}));
        text_free(&blocks->buffer);
    }
    blocks->from = (off_t)blocks->header.length;
    return 0;
}

/* Whether a part is nothing but white space. */
static bool part_is_blank(const struct run_blocks *blocks, off_t from, off_t to)
{
    char buffer[4096];
    while (from < to) {
        size_t size = to - from < (off_t)sizeof buffer ? (size_t)(to - from) : sizeof buffer;
        ssize_t length = read_at(blocks, buffer, size, from);
        if (length <= 0 || !is_blank((struct span){buffer, (size_t)length}))
            return false;
        from += length;
    }
    return true;
}

static enum run_input_got next_part(struct run_blocks *blocks, struct run_feed *feed)
{
    while (blocks->file < blocks->options.count) {
        if (!blocks->begun && begin_file(blocks) != 0)
            return RUN_INPUT_FAILED;
        if (blocks->from >= blocks->to) {
            blocks->file++;
            blocks->begun = false;
            continue;
        }
        bool last = (off_t)blocks->size >= blocks->to - blocks->from;
        off_t from = blocks->from, place = last ? blocks->to : find_place(blocks, from + (off_t)blocks->size);
        if (place < 0)
            return RUN_INPUT_FAILED;
        blocks->from = place;
        if (blocks->options.skips_blank && part_is_blank(blocks, from, place))
            continue;
        text_add_span(&feed->text, text_span(&blocks->header));
        *feed = (struct run_feed){.given = true, .text = feed->text, .file = blocks->files[blocks->file], .from = from, .to = place};
        return RUN_INPUT_RECORD;
    }
    return RUN_INPUT_END;
}

enum run_input_got run_blocks_next(struct run_blocks *blocks, struct run_feed *feed)
{
    run_feed_free(feed);
    return blocks->options.parts ? next_part(blocks, feed) : next_block(blocks, feed);
}

void run_blocks_rewind(struct run_blocks *blocks)
{
    blocks->file = 0;
    blocks->begun = false;
}
