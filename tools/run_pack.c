/* SPDX-License-Identifier: MIT */
/*
 * See run_pack.h. Records that were read and not used yet are held, their values one after the other in one text. How many fit is found by
 * halving, with the whole line made each time: so it is exact, whatever the command does with its arguments.
 */
#include "run_pack.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "complain.h"

/* Records whose values are copied. */
struct pack_store {
    struct text octets;
    struct pack_value {
        size_t at, length;
    } * values;
    size_t *ends; /* by record: which value follows its last */
    size_t value_count, value_room, count, room;
};

struct run_pack {
    struct run_pack_options options;
    struct run_input *input;
    const struct run_columns *columns;
    const struct run_template *command;
    struct span *raw;         /* a record of the input */
    bool over;                /* the input has no more */
    struct run_record record; /* its columns; or what a job gets */
    struct pack_store held;
    size_t used;              /* records of `held` that jobs have got */
    size_t spread;            /* at most so many records a job, since the input has ended; 0: it has not */
    enum run_input_got ended; /* RUN_INPUT_RECORD: not yet */
    struct pack_store deck;   /* all records, to be shuffled */
    size_t *order, dealt;     /* NULL: not shuffled yet */
    struct text line, joined;
};

static void store_add(struct pack_store *store, const struct run_record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        if (store->value_count == store->value_room) {
            store->value_room = store->value_room ? store->value_room * 2 : 64;
            store->values = memory_resize(store->values, store->value_room * sizeof *store->values);
        }
        store->values[store->value_count++] = (struct pack_value){store->octets.length, record->at[i].length};
        text_add_span(&store->octets, record->at[i]);
    }
    if (store->count == store->room) {
        store->room = store->room ? store->room * 2 : 64;
        store->ends = memory_resize(store->ends, store->room * sizeof *store->ends);
    }
    store->ends[store->count++] = store->value_count;
}

/* Adds the values of records [from, to) to a list. */
static void store_list(const struct pack_store *store, size_t from, size_t to, struct run_record *record)
{
    for (size_t i = from ? store->ends[from - 1] : 0; to > from && i < store->ends[to - 1]; i++)
        run_record_add(record, (struct span){text_string(&store->octets) + store->values[i].at, store->values[i].length});
}

static void store_clear(struct pack_store *store)
{
    text_clear(&store->octets);
    store->value_count = store->count = 0;
}

static void store_free(struct pack_store *store)
{
    text_free(&store->octets);
    free(store->values);
    free(store->ends);
    *store = (struct pack_store){0};
}

struct run_pack *run_pack_new(
    const struct run_pack_options *options, struct run_input *input, const struct run_columns *columns, const struct run_template *command)
{
    struct run_pack *pack = memory_get(sizeof *pack);
    *pack = (struct run_pack){.options = *options, .input = input, .columns = columns, .command = command, .ended = RUN_INPUT_RECORD};
    pack->raw = memory_get((run_input_width(input) + 1) * sizeof *pack->raw);
    return pack;
}

void run_pack_free(struct run_pack *pack)
{
    if (!pack)
        return;
    free(pack->raw);
    free(pack->order);
    run_record_free(&pack->record);
    store_free(&pack->held);
    store_free(&pack->deck);
    text_free(&pack->line);
    text_free(&pack->joined);
    free(pack);
}

/* The next record of the input, which is not asked again after its end. */
static enum run_input_got read_raw(struct run_pack *pack)
{
    enum run_input_got got = pack->over ? RUN_INPUT_END : run_input_next(pack->input, pack->raw);
    pack->over = got == RUN_INPUT_END;
    return got;
}

/* Whether a record goes on in the next one. */
static bool goes_on(const struct run_pack *pack)
{
    struct span last = pack->raw[run_input_width(pack->input) - 1];
    return pack->options.joins && last.length && (last.at[last.length - 1] == ' ' || last.at[last.length - 1] == '\t');
}

/* Copies what will not be there after the next read, and adds to the last value those of the records in which it goes on. */
static enum run_input_got join_records(struct run_pack *pack)
{
    size_t width = run_input_width(pack->input);
    struct pack_store kept = {0};
    struct run_record first = {.at = pack->raw, .count = width - 1};
    store_add(&kept, &first);
    text_clear(&pack->line);
    text_add_span(&pack->line, pack->raw[width - 1]);
    enum run_input_got got = RUN_INPUT_RECORD;
    while (goes_on(pack) && (got = read_raw(pack)) == RUN_INPUT_RECORD)
        text_add_span(&pack->line, pack->raw[width - 1]);
    text_clear(&pack->joined);
    text_add_span(&pack->joined, text_span(&kept.octets));
    for (size_t i = 0; i + 1 < width; i++)
        pack->raw[i] = (struct span){text_string(&pack->joined) + kept.values[i].at, kept.values[i].length};
    pack->raw[width - 1] = text_span(&pack->line);
    store_free(&kept);
    return got == RUN_INPUT_END ? RUN_INPUT_RECORD : got;
}

/* The columns of the next record of the input. */
static enum run_input_got read_columns(struct run_pack *pack)
{
    pack->record.count = 0;
    enum run_input_got got = read_raw(pack);
    if (got == RUN_INPUT_RECORD && goes_on(pack))
        got = join_records(pack);
    for (size_t i = 0; got == RUN_INPUT_RECORD && i < run_input_width(pack->input); i++)
        run_columns_cut(pack->columns, pack->raw[i], &pack->record);
    return got;
}

static uint64_t random_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) == (ssize_t)sizeof number)
        return number;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u;
}

/* Reads all there is and puts it into an order of chance. */
static enum run_input_got deck_shuffle(struct run_pack *pack)
{
    enum run_input_got got;
    while ((got = read_columns(pack)) == RUN_INPUT_RECORD)
        store_add(&pack->deck, &pack->record);
    if (got != RUN_INPUT_END)
        return got;
    size_t count = pack->deck.count;
    pack->order = memory_get((count + 1) * sizeof *pack->order);
    for (size_t i = 0; i < count; i++) {
        size_t other = (size_t)(random_number() % (i + 1));
        pack->order[i] = pack->order[other];
        pack->order[other] = i;
    }
    return RUN_INPUT_RECORD;
}

/* The next record, whose columns are in pack->record then. */
static enum run_input_got read_record(struct run_pack *pack)
{
    if (!pack->options.shuffles)
        return read_columns(pack);
    enum run_input_got got = pack->order ? RUN_INPUT_RECORD : deck_shuffle(pack);
    if (got != RUN_INPUT_RECORD)
        return got;
    if (pack->dealt == pack->deck.count)
        return RUN_INPUT_END;
    size_t next = pack->order[pack->dealt++];
    pack->record.count = 0;
    store_list(&pack->deck, next, next + 1, &pack->record);
    return RUN_INPUT_RECORD;
}

/* Drops what was used, when that is worth it. */
static void forget_used(struct run_pack *pack)
{
    struct pack_store *store = &pack->held;
    if (pack->used == store->count) {
        store_clear(store);
        pack->used = 0;
    }
    if (pack->used <= store->count / 2)
        return;
    struct run_record rest = {0};
    struct pack_store fresh = {0};
    for (size_t i = pack->used; i < store->count; i++) {
        rest.count = 0;
        store_list(store, i, i + 1, &rest);
        store_add(&fresh, &rest);
    }
    run_record_free(&rest);
    store_free(store);
    *store = fresh;
    pack->used = 0;
}

/* How many of the held records one job may get by number. */
static size_t count_allowed(const struct run_pack *pack)
{
    size_t held = pack->held.count - pack->used, most = pack->spread ? pack->spread : pack->options.records;
    return most && held > most ? most : held;
}

/* Octets of the held records: no line that has all of them is shorter. */
static size_t held_length(const struct run_pack *pack)
{
    const struct pack_store *store = &pack->held;
    size_t from = pack->used ? store->ends[pack->used - 1] : 0;
    size_t octets = from < store->value_count ? store->octets.length - store->values[from].at : 0;
    return octets + (store->count - pack->used);
}

/* Reads on until a job's arguments are there and, where what is left is to be spread, it is known whether something is. */
static enum run_input_got fill(struct run_pack *pack)
{
    size_t most = pack->spread ? pack->spread : pack->options.records;
    size_t wanted = pack->options.spreads > 1 && !pack->spread ? most + 1 : most;
    for (;;) {
        size_t held = pack->held.count - pack->used;
        bool enough = held_length(pack) > pack->options.length || (most && held >= wanted);
        if (enough || pack->ended == RUN_INPUT_END)
            return held ? RUN_INPUT_RECORD : RUN_INPUT_END;
        enum run_input_got got = read_record(pack);
        if (got == RUN_INPUT_RECORD)
            store_add(&pack->held, &pack->record);
        else if (got == RUN_INPUT_END)
            pack->ended = got;
        else
            return got;
    }
}

static bool fits(struct run_pack *pack, uint64_t sequence, size_t count)
{
    pack->record.count = 0;
    store_list(&pack->held, pack->used, pack->used + count, &pack->record);
    struct run_template_values values = {pack->record.at, pack->record.count, sequence, 1};
    text_clear(&pack->line);
    run_template_expand(pack->command, &values, &pack->line);
    return pack->line.length < pack->options.length;
}

/* The largest number of records up to `most` that fit; 0 when not even one does. */
static size_t count_fitting(struct run_pack *pack, uint64_t sequence, size_t most)
{
    if (fits(pack, sequence, most))
        return most;
    size_t good = 0, bad = most;
    while (bad - good > 1) {
        size_t middle = good + (bad - good) / 2;
        if (fits(pack, sequence, middle))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

/* How many records the next job gets. */
static enum run_input_got choose(struct run_pack *pack, uint64_t sequence, size_t *count)
{
    enum run_input_got got = fill(pack);
    if (got != RUN_INPUT_RECORD)
        return got;
    *count = count_fitting(pack, sequence, count_allowed(pack));
    if (*count == 0 && pack->options.length_is_set) {
        complain("-s %zu: the command line is %zu characters long with one argument alone: %.*s", pack->options.length, pack->line.length,
            pack->line.length > 200 ? 200 : (int)pack->line.length, text_string(&pack->line));
        return RUN_INPUT_FAILED;
    }
    *count += *count == 0; /* too long for the system, which will say so */
    bool last = pack->ended == RUN_INPUT_END && *count == pack->held.count - pack->used;
    if (last && pack->options.spreads > 1 && !pack->spread) {
        pack->spread = (*count + pack->options.spreads - 1) / pack->options.spreads;
        *count = pack->spread;
    }
    return RUN_INPUT_RECORD;
}

enum run_input_got run_pack_next(struct run_pack *pack, uint64_t sequence, struct span const **arguments, size_t *count)
{
    enum run_input_got got;
    size_t records = 0;
    if (!pack->options.several) {
        got = read_record(pack);
    } else {
        forget_used(pack);
        got = choose(pack, sequence, &records);
    }
    if (got != RUN_INPUT_RECORD)
        return got;
    if (pack->options.several) {
        pack->record.count = 0;
        store_list(&pack->held, pack->used, pack->used + records, &pack->record);
        pack->used += records;
    }
    *arguments = pack->record.at;
    *count = pack->options.nothing ? 0 : pack->record.count;
    return got;
}

int run_pack_rewind(struct run_pack *pack)
{
    store_clear(&pack->held);
    pack->used = pack->spread = pack->dealt = 0;
    pack->over = false;
    pack->ended = RUN_INPUT_RECORD;
    return pack->order ? 0 : run_input_rewind(pack->input);
}
