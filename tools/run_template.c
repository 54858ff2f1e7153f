/* SPDX-License-Identifier: MIT */
/*
 * See run_template.h. A word is a list of parts; a part is a stretch of the word as it was written, or a replacement string. For
 * -X, blanks are parts of their own: what stands between two of them is repeated as a whole.
 */
#include "run_template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum part_kind { PART_TEXT, PART_BLANK, PART_ARGUMENT, PART_SEQUENCE, PART_SLOT };

/* What becomes of an argument. */
enum part_change { KEEP_ALL, CUT_EXTENSION, CUT_FOLDERS, KEEP_FOLDER, CUT_BOTH };

struct part {
    enum part_kind kind;
    enum part_change change;
    int position;     /* 1 is the first argument, -1 the last, 0 all of them */
    struct span text; /* of PART_TEXT and PART_BLANK: inside the word's text */
};

struct run_template_word {
    struct text text; /* as it was written */
    struct part *parts;
    size_t count;
};

static const char blanks[] = " \t\n";
static const char *const change_names[] = {
    [KEEP_ALL] = "", [CUT_EXTENSION] = ".", [CUT_FOLDERS] = "/", [KEEP_FOLDER] = "//", [CUT_BOTH] = "/."};

static bool quote_is_needed(struct span argument)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+/";
    for (size_t i = 0; i < argument.length; i++)
        if (argument.at[i] == '\0' || !strchr(plain, argument.at[i]))
            return true;
    return argument.length == 0;
}

/* A quote inside becomes '"'"'; the pair of quotes with nothing between that this makes at either end is left out. */
void run_quote(struct span argument, struct text *out)
{
    if (!quote_is_needed(argument)) {
        text_add_span(out, argument);
        return;
    }
    const char *at = argument.at, *end = at + argument.length;
    bool quote_ends = argument.length && end[-1] == '\'';
    if (argument.length == 0 || at[0] != '\'')
        text_add_char(out, '\'');
    while (at < end) {
        const char *quote = memchr(at, '\'', (size_t)(end - at));
        const char *stop = quote ? quote : end;
        text_add(out, at, (size_t)(stop - at));
        if (!quote)
            break;
        text_add_string(out, quote == argument.at ? "\"'\"" : "'\"'\"");
        at = quote + 1;
        if (at < end)
            text_add_char(out, '\'');
    }
    if (!quote_ends)
        text_add_char(out, '\'');
}

static struct span cut_folders(struct span path)
{
    const char *slash = memrchr(path.at, '/', path.length);
    if (!slash)
        return path;
    size_t skipped = (size_t)(slash + 1 - path.at);
    return (struct span){slash + 1, path.length - skipped};
}

static struct span cut_extension(struct span path)
{
    struct span name = cut_folders(path);
    const char *dot = memrchr(name.at, '.', name.length);
    return dot ? (struct span){path.at, (size_t)(dot - path.at)} : path;
}

/* Without the slashes at its end, but never less than one character. */
static struct span cut_slashes(struct span path)
{
    while (path.length > 1 && path.at[path.length - 1] == '/')
        path.length--;
    return path;
}

static struct span up_to_slash(struct span path)
{
    const char *slash = memrchr(path.at, '/', path.length);
    return slash ? cut_slashes((struct span){path.at, (size_t)(slash + 1 - path.at)}) : span_of(".");
}

/* As Perl's dirname has it: a path that ends in a slash names a folder inside the one that is wanted. */
static struct span keep_folder(struct span path)
{
    struct span folder = up_to_slash(path);
    bool ends_in_slash = path.length && path.at[path.length - 1] == '/';
    return ends_in_slash ? up_to_slash(folder) : folder;
}

static struct span change_argument(struct span argument, enum part_change change)
{
    switch (change) {
    case CUT_EXTENSION:
        return cut_extension(argument);
    case CUT_FOLDERS:
        return cut_folders(argument);
    case KEEP_FOLDER:
        return keep_folder(argument);
    case CUT_BOTH:
        return cut_extension(cut_folders(argument));
    case KEEP_ALL:
        break;
    }
    return argument;
}

/* A whole number at `at`, perhaps negative, of few enough digits; `*number` is untouched where there is none. Returns what follows it. */
static const char *read_position(const char *at, int *number)
{
    const char *digits = at + (*at == '-');
    size_t length = strspn(digits, "0123456789");
    if (length == 0 || length > 6)
        return at;
    *number = atoi(at);
    return digits + length;
}

/* Reads how an argument is changed, and the closing brace. Returns what follows; NULL where there is something else. */
static const char *read_change(const char *at, struct part *part)
{
    for (int change = KEEP_ALL; change <= CUT_BOTH; change++) {
        size_t length = strlen(change_names[change]);
        if (strncmp(at, change_names[change], length) == 0 && at[length] == '}') {
            part->change = (enum part_change)change;
            return at + length + 1;
        }
    }
    return NULL;
}

/* Reads a name, as {name} or {name.}, at the brace `at`. Returns what follows it; NULL where there is none. */
static const char *read_name(const char *at, const struct run_template_options *options, struct part *part)
{
    for (size_t i = 0; i < options->name_count; i++) {
        struct span name = options->names[i].name;
        bool fits = name.length && strncmp(at + 1, name.at, name.length) == 0;
        const char *end = fits ? read_change(at + 1 + name.length, part) : NULL;
        if (end) {
            part->position = options->names[i].position;
            return end;
        }
    }
    return NULL;
}

/* Reads what -I put in the place of {}. Where that is in braces, a place may stand after the first: {2x} for -I {x}. */
static const char *read_own(const char *at, const char *own, struct part *part)
{
    size_t length = strlen(own);
    if (strncmp(at, own, length) == 0)
        return at + length;
    if (*own != '{' || *at != '{' || own[length - 1] != '}')
        return NULL;
    const char *rest = read_position(at + 1, &part->position);
    return rest > at + 1 && strncmp(rest, own + 1, length - 1) == 0 ? rest + length - 1 : NULL;
}

/* Reads a replacement string at `at`. Returns what follows it; NULL where there is none. */
static const char *read_replacement(const char *at, const struct run_template_options *options, struct part *part)
{
    *part = (struct part){.kind = PART_ARGUMENT};
    const char *end = *at == '{' ? read_name(at, options, part) : NULL;
    if (!end && options->replace)
        end = read_own(at, options->replace, part);
    if (end || *at != '{')
        return end;
    if (strncmp(at, "{#}", 3) == 0 || strncmp(at, "{%}", 3) == 0) {
        part->kind = at[1] == '#' ? PART_SEQUENCE : PART_SLOT;
        return at + 3;
    }
    end = read_change(read_position(at + 1, &part->position), part);
    return end && options->replace && part->change == KEEP_ALL ? NULL : end;
}

static void word_add_part(struct run_template_word *word, struct part part)
{
    if (part.kind == PART_TEXT && part.text.length == 0)
        return;
    word->parts = memory_resize(word->parts, (word->count + 1) * sizeof *word->parts);
    word->parts[word->count++] = part;
}

static struct part text_part(enum part_kind kind, const char *from, const char *to)
{
    return (struct part){.kind = kind, .text = {from, (size_t)(to - from)}};
}

/* Cuts word->text into parts. */
static void word_read(struct run_template *template, struct run_template_word *word, const struct run_template_options *options)
{
    const char *from = text_string(&word->text), *at = from;
    while (*at) {
        struct part part;
        const char *end = read_replacement(at, options, &part);
        if (end) {
            template->replaces = true;
            template->uses_slot |= part.kind == PART_SLOT;
        } else if (options->context && strchr(blanks, *at)) {
            end = at + strspn(at, blanks);
            part = text_part(PART_BLANK, at, end);
        } else {
            at++;
            continue;
        }
        word_add_part(word, text_part(PART_TEXT, from, at));
        word_add_part(word, part);
        from = at = end;
    }
    word_add_part(word, text_part(PART_TEXT, from, at));
}

static void template_add_word(struct run_template *template, const char *string, const struct run_template_options *options)
{
    template->words = memory_resize(template->words, (template->count + 1) * sizeof *template->words);
    struct run_template_word *word = &template->words[template->count++];
    *word = (struct run_template_word){0};
    text_add_string(&word->text, string);
    word_read(template, word, options);
}

/* Whether a replacement string is part of the command's name. Then arguments are command lines, or parts of them, and are not quoted. */
static bool replaces_name(const struct run_template *template)
{
    const struct run_template_word *word = template->count ? &template->words[0] : NULL;
    if (!word || word->count == 0)
        return false;
    const struct part *first = &word->parts[0];
    return first->kind > PART_BLANK ||
           (word->count > 1 && word->parts[1].kind > PART_BLANK && strcspn(first->text.at, " \t\n=") >= first->text.length);
}

static void read_words(struct run_template *out, char *const *words, size_t count, const struct run_template_options *options)
{
    struct text joined = {0};
    for (size_t i = 0; i < count; i++) {
        if (options->quoting == RUN_QUOTE_WORDS) {
            template_add_word(out, words[i], options);
            continue;
        }
        if (i > 0)
            text_add_char(&joined, ' ');
        text_add_string(&joined, words[i]);
    }
    if (joined.length)
        template_add_word(out, text_string(&joined), options);
    text_free(&joined);
}

void run_template_read(struct run_template *out, char *const *words, size_t count, const struct run_template_options *options)
{
    *out = (struct run_template){.quoting = options->quoting, .context = options->context};
    read_words(out, words, count, options);
    if (options->quoting == RUN_QUOTE_ARGUMENTS && replaces_name(out))
        out->quoting = RUN_QUOTE_NOTHING;
    if (options->append && !out->replaces)
        template_add_word(out, options->replace ? options->replace : "{}", options);
}

/* A line in the making. Where words are quoted whole, what is put into one is kept in `piece` until it is complete. */
struct line {
    struct text *out;
    struct text piece;
    const struct run_template *template;
    const struct run_template_values *values;
};

static void line_add(struct line *line, struct span value, bool is_argument)
{
    if (line->template->quoting == RUN_QUOTE_WORDS)
        text_add_span(&line->piece, value);
    else if (line->template->quoting == RUN_QUOTE_ARGUMENTS && is_argument)
        run_quote(value, line->out);
    else
        text_add_span(line->out, value);
}

static void line_end_word(struct line *line)
{
    if (line->template->quoting == RUN_QUOTE_WORDS)
        run_quote(text_span(&line->piece), line->out);
    text_clear(&line->piece);
}

/* A blank between two arguments: what surrounds them is two words then. */
static void line_break(struct line *line)
{
    line_end_word(line);
    text_add_char(line->out, ' ');
}

/* `only` is the argument that {} stands for; NULL: all of them. */
static void expand_argument(struct line *line, const struct part *part, const struct span *only)
{
    const struct run_template_values *values = line->values;
    size_t distance = (size_t)abs(part->position);
    if (part->position != 0) {
        if (distance <= values->count)
            line_add(
                line, change_argument(values->arguments[part->position > 0 ? distance - 1 : values->count - distance], part->change), true);
        return;
    }
    if (only) {
        line_add(line, change_argument(*only, part->change), true);
        return;
    }
    for (size_t i = 0; i < values->count; i++) {
        if (i > 0)
            line_break(line);
        line_add(line, change_argument(values->arguments[i], part->change), true);
    }
}

static void expand_part(struct line *line, const struct part *part, const struct span *only)
{
    char number[32];
    switch (part->kind) {
    case PART_TEXT:
    case PART_BLANK:
        line_add(line, part->text, false);
        break;
    case PART_ARGUMENT:
        expand_argument(line, part, only);
        break;
    case PART_SEQUENCE:
        snprintf(number, sizeof number, "%" PRIu64, line->values->sequence);
        line_add(line, span_of(number), false);
        break;
    case PART_SLOT:
        snprintf(number, sizeof number, "%u", line->values->slot);
        line_add(line, span_of(number), false);
        break;
    }
}

/* Up to the next blank: how many parts, and whether all arguments are among them. */
static size_t stretch_length(const struct part *parts, size_t count, bool *repeats)
{
    size_t length = 0;
    *repeats = false;
    for (; length < count && parts[length].kind != PART_BLANK; length++)
        *repeats |= parts[length].kind == PART_ARGUMENT && parts[length].position == 0;
    return length;
}

/* With -X, what stands between blanks is made once for each argument. */
static void expand_stretch(struct line *line, const struct part *parts, size_t count, bool repeats)
{
    size_t times = repeats && line->values->count > 1 ? line->values->count : 1;
    for (size_t i = 0; i < times; i++) {
        if (i > 0)
            line_break(line);
        for (size_t at = 0; at < count; at++)
            expand_part(line, &parts[at], repeats && line->values->count ? &line->values->arguments[i] : NULL);
    }
}

static void expand_word(struct line *line, const struct run_template_word *word)
{
    if (!line->template->context) {
        for (size_t i = 0; i < word->count; i++)
            expand_part(line, &word->parts[i], NULL);
        return;
    }
    for (size_t at = 0; at < word->count;) {
        bool repeats;
        size_t length = stretch_length(word->parts + at, word->count - at, &repeats);
        expand_stretch(line, word->parts + at, length, repeats);
        at += length;
        if (at < word->count)
            expand_part(line, &word->parts[at++], NULL);
    }
}

void run_template_expand(const struct run_template *template, const struct run_template_values *values, struct text *out)
{
    struct line line = {.out = out, .template = template, .values = values};
    for (size_t i = 0; i < template->count; i++) {
        if (i > 0)
            text_add_char(out, ' ');
        expand_word(&line, &template->words[i]);
        line_end_word(&line);
    }
    text_free(&line.piece);
}

void run_template_free(struct run_template *template)
{
    for (size_t i = 0; i < template->count; i++) {
        text_free(&template->words[i].text);
        free(template->words[i].parts);
    }
    free(template->words);
    *template = (struct run_template){0};
}
