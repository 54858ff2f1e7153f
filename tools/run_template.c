/* SPDX-License-Identifier: MIT */
/* See run_template.h. A word is a list of parts; a part is a stretch of the word as it was written, or a replacement string. */
#include "run_template.h"

#include <stdlib.h>
#include <string.h>

enum part_kind { PART_TEXT, PART_ARGUMENT, PART_SEQUENCE, PART_SLOT };

/* What becomes of an argument. */
enum part_change { KEEP_ALL, CUT_EXTENSION, CUT_FOLDERS, KEEP_FOLDER, CUT_BOTH };

struct part {
    enum part_kind kind;
    enum part_change change;
    int position;     /* 1 is the first argument, -1 the last, 0 all of them */
    struct span text; /* of PART_TEXT: inside the word's text */
};

struct run_template_word {
    struct text text; /* as it was written */
    struct part *parts;
    size_t count;
};

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

/* Reads a replacement string at the brace `at`: its length, or 0 when it is none. */
static size_t read_replacement(const char *at, struct part *part)
{
    static const struct part sequence = {.kind = PART_SEQUENCE}, slot = {.kind = PART_SLOT};
    if (strncmp(at, "{#}", 3) == 0 || strncmp(at, "{%}", 3) == 0) {
        *part = at[1] == '#' ? sequence : slot;
        return 3;
    }
    *part = (struct part){.kind = PART_ARGUMENT};
    const char *rest = read_position(at + 1, &part->position);
    size_t length = strcspn(rest, "}");
    if (rest[length] != '}')
        return 0;
    for (int change = KEEP_ALL; change <= CUT_BOTH; change++) {
        if (strlen(change_names[change]) == length && strncmp(rest, change_names[change], length) == 0) {
            part->change = (enum part_change)change;
            return (size_t)(rest + length + 1 - at);
        }
    }
    return 0;
}

static void word_add_part(struct run_template_word *word, struct part part)
{
    if (part.kind == PART_TEXT && part.text.length == 0)
        return;
    word->parts = memory_resize(word->parts, (word->count + 1) * sizeof *word->parts);
    word->parts[word->count++] = part;
}

static struct part text_part(const char *from, const char *to)
{
    return (struct part){.kind = PART_TEXT, .text = {from, (size_t)(to - from)}};
}

/* Cuts word->text into parts. */
static void word_read(struct run_template *template, struct run_template_word *word)
{
    const char *from = text_string(&word->text), *at = from;
    while ((at = strchr(at, '{'))) {
        struct part part;
        size_t length = read_replacement(at, &part);
        if (length == 0) {
            at++;
            continue;
        }
        word_add_part(word, text_part(from, at));
        word_add_part(word, part);
        template->replaces = true;
        template->uses_slot |= part.kind == PART_SLOT;
        from = at += length;
    }
    word_add_part(word, text_part(from, from + strlen(from)));
}

static void template_add_word(struct run_template *template, const char *string)
{
    template->words = memory_resize(template->words, (template->count + 1) * sizeof *template->words);
    struct run_template_word *word = &template->words[template->count++];
    *word = (struct run_template_word){0};
    text_add_string(&word->text, string);
    word_read(template, word);
}

/* Whether a replacement string is part of the command's name. Then arguments are command lines, or parts of them, and are not quoted. */
static bool replaces_name(const struct run_template *template)
{
    const struct run_template_word *word = template->count ? &template->words[0] : NULL;
    if (!word || word->count == 0)
        return false;
    const struct part *first = &word->parts[0];
    return first->kind != PART_TEXT || (word->count > 1 && strcspn(first->text.at, " \t\n=") >= first->text.length);
}

void run_template_read(struct run_template *out, char *const *words, size_t count, enum run_quoting quoting, bool append)
{
    *out = (struct run_template){.quoting = quoting};
    struct text joined = {0};
    for (size_t i = 0; i < count; i++) {
        if (quoting == RUN_QUOTE_WORDS) {
            template_add_word(out, words[i]);
            continue;
        }
        if (i > 0)
            text_add_char(&joined, ' ');
        text_add_string(&joined, words[i]);
    }
    if (joined.length)
        template_add_word(out, text_string(&joined));
    text_free(&joined);
    if (quoting == RUN_QUOTE_ARGUMENTS && replaces_name(out))
        out->quoting = RUN_QUOTE_NOTHING;
    if (append && !out->replaces)
        template_add_word(out, "{}");
}

static void add_quoted(struct span value, bool quoted, struct text *out)
{
    if (quoted)
        run_quote(value, out);
    else
        text_add_span(out, value);
}

static void expand_argument(const struct part *part, const struct run_template_values *values, bool quoted, struct text *out)
{
    if (part->position == 0) {
        for (size_t i = 0; i < values->count; i++) {
            if (i > 0)
                text_add_char(out, ' ');
            add_quoted(change_argument(values->arguments[i], part->change), quoted, out);
        }
        return;
    }
    size_t distance = (size_t)abs(part->position);
    if (distance > values->count)
        return;
    size_t index = part->position > 0 ? distance - 1 : values->count - distance;
    add_quoted(change_argument(values->arguments[index], part->change), quoted, out);
}

static void expand_word(const struct run_template_word *word, const struct run_template_values *values, bool quoted, struct text *out)
{
    for (size_t i = 0; i < word->count; i++) {
        const struct part *part = &word->parts[i];
        switch (part->kind) {
        case PART_TEXT:
            text_add_span(out, part->text);
            break;
        case PART_ARGUMENT:
            expand_argument(part, values, quoted, out);
            break;
        case PART_SEQUENCE:
            text_format(out, "%llu", (unsigned long long)values->sequence);
            break;
        case PART_SLOT:
            text_format(out, "%u", values->slot);
            break;
        }
    }
}

void run_template_expand(const struct run_template *template, const struct run_template_values *values, struct text *out)
{
    struct text whole = {0};
    for (size_t i = 0; i < template->count; i++) {
        if (i > 0)
            text_add_char(out, ' ');
        if (template->quoting != RUN_QUOTE_WORDS) {
            expand_word(&template->words[i], values, template->quoting == RUN_QUOTE_ARGUMENTS, out);
            continue;
        }
        text_clear(&whole);
        expand_word(&template->words[i], values, false, &whole);
        run_quote(text_span(&whole), out);
    }
    text_free(&whole);
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
