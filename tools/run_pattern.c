/* SPDX-License-Identifier: MIT */
/* See run_pattern.h. A pattern is rewritten, character by character, into a POSIX extended one, as the C library's has it. */
#include "run_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "complain.h"

/* A pattern in the making. */
struct rewriting {
    struct text out;
    const char *at;
    const char *wrong;    /* what is not understood; NULL: nothing so far */
    bool repeatable;      /* something stands before that can be repeated */
    size_t groups, depth; /* how many began, and how many of them have not ended */
    bool *captures;
};

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c ? strchr(digits, c | 32) : NULL;
    return found && !(c >= 16 && c < '0') ? (int)(found - digits) : -1;
}

/* The character that the escape at `at` (after the backslash) stands for; -1: it stands for more than one, or none. Moves on. */
static int read_escape(const char **at)
{
    static const char letters[] = "tnrfea", meanings[] = "\t\n\r\f\033\a";
    const char *letter = **at ? strchr(letters, **at) : NULL;
    if (letter) {
        ++*at;
        return meanings[letter - letters];
    }
    if (**at == 'x' && hex_digit((*at)[1]) >= 0 && hex_digit((*at)[2]) >= 0) {
        int value = hex_digit((*at)[1]) * 16 + hex_digit((*at)[2]);
        *at += 3;
        return value ? value : -1;
    }
    bool is_letter = (**at >= '0' && **at <= '9') || (**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z') || **at == '\0';
    return is_letter ? -1 : (unsigned char)*(*at)++;
}

static void add_plain(struct text *out, char c)
{
    if (strchr(".[]{}()\\*+?|^$", c))
        text_add_char(out, '\\');
    text_add_char(out, c);
}

static void rewrite_escape(struct rewriting *rewriting)
{
    static const struct {
        char letter;
        const char *text;
    } classes[] = {{'d', "[0-9]"}, {'D', "[^0-9]"}, {'h', "[ \t]"}, {'s', "[[:space:]]"}, {'S', "[^[:space:]]"}, {'w', "[[:alnum:]_]"},
        {'W', "[^[:alnum:]_]"}, {'b', "\\b"}, {'B', "\\B"}, {'A', "^"}, {'z', "$"}, {'Z', "$"}};
    const char *from = ++rewriting->at;
    rewriting->repeatable = true;
    int c = read_escape(&rewriting->at);
    if (c > 0) {
        add_plain(&rewriting->out, (char)c);
        return;
    }
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (classes[i].letter == *from) {
            text_add_string(&rewriting->out, classes[i].text);
            rewriting->at = from + 1;
            return;
        }
    }
    rewriting->wrong = from - 1;
}

/* An escape inside brackets. What ends them or spans a range there has its own place: `early` and `late`. */
static void rewrite_set_escape(struct rewriting *rewriting, bool *early, bool *late)
{
    static const char letters[] = "dsw";
    static const char *const texts[] = {"0-9", "[:space:]", "[:alnum:]_"};
    const char *from = ++rewriting->at;
    const char *letter = *from ? strchr(letters, *from) : NULL;
    int c = letter ? 0 : read_escape(&rewriting->at);
    if (letter) {
        text_add_string(&rewriting->out, texts[letter - letters]);
        rewriting->at++;
    } else if (c == ']') {
        *early = true;
    } else if (c == '-') {
        *late = true;
    } else if (c > 0) {
        text_add_char(&rewriting->out, (char)c);
    } else {
        rewriting->wrong = from - 1;
    }
}

/* Brackets. */
static void rewrite_set(struct rewriting *rewriting)
{
    struct text whole = rewriting->out;
    const char *from = rewriting->at++;
    bool none_of = *rewriting->at == '^', early = false, late = false;
    rewriting->at += none_of;
    rewriting->out = (struct text){0};
    bool first = true;
    for (; !rewriting->wrong && *rewriting->at && (*rewriting->at != ']' || first); first = false) {
        const char *name_end = strncmp(rewriting->at, "[:", 2) == 0 ? strstr(rewriting->at, ":]") : NULL;
        if (*rewriting->at == '\\') {
            rewrite_set_escape(rewriting, &early, &late);
        } else if (name_end) {
            text_add(&rewriting->out, rewriting->at, (size_t)(name_end + 2 - rewriting->at));
            rewriting->at = name_end + 2;
        } else if (*rewriting->at == ']') {
            early = true;
            rewriting->at++;
        } else {
            text_add_char(&rewriting->out, *rewriting->at++);
        }
    }
    if (!rewriting->wrong && *rewriting->at != ']')
        rewriting->wrong = from;
    text_add_string(&whole, none_of ? "[^" : "[");
    text_add_string(&whole, early ? "]" : "");
    text_add_span(&whole, text_span(&rewriting->out));
    text_add_string(&whole, late ? "-]" : "]");
    text_free(&rewriting->out);
    rewriting->out = whole;
    rewriting->at += *rewriting->at == ']';
    rewriting->repeatable = true;
}

static void rewrite_group(struct rewriting *rewriting)
{
    bool captures = true;
    const char *from = rewriting->at++;
    if (*rewriting->at == '?') {
        if (strncmp(rewriting->at, "?:", 2) != 0) {
            rewriting->wrong = from;
            return;
        }
        rewriting->at += 2;
        captures = false;
    }
    if (++rewriting->groups > RUN_PATTERN_GROUPS)
        rewriting->wrong = from;
    else
        rewriting->captures[rewriting->groups] = captures;
    rewriting->depth++;
    text_add_char(&rewriting->out, '(');
    rewriting->repeatable = false;
}

/* {2}, {2,} and {2,3}: its length; 0 where the brace is none of these, and stands for itself. */
static size_t count_length(const char *at)
{
    static const char digits[] = "0123456789";
    size_t length = 1 + strspn(at + 1, digits);
    if (*at != '{' || length == 1)
        return 0;
    if (at[length] == ',')
        length += 1 + strspn(at + length + 1, digits);
    return at[length] == '}' ? length + 1 : 0;
}

static void rewrite_repetition(struct rewriting *rewriting)
{
    size_t length = *rewriting->at == '{' ? count_length(rewriting->at) : 1;
    if (!rewriting->repeatable || (rewriting->at[length] && strchr("?+*", rewriting->at[length])))
        rewriting->wrong = rewriting->at;
    text_add(&rewriting->out, rewriting->at, length);
    rewriting->at += length;
}

static void rewrite_one(struct rewriting *rewriting)
{
    char c = *rewriting->at;
    if (c == '\\') {
        rewrite_escape(rewriting);
    } else if (c == '[') {
        rewrite_set(rewriting);
    } else if (c == '(') {
        rewrite_group(rewriting);
    } else if (c == '.') {
        text_add_string(&rewriting->out, "[^\n]");
        rewriting->repeatable = true;
        rewriting->at++;
    } else if (strchr("*+?", c) || count_length(rewriting->at)) {
        rewrite_repetition(rewriting);
    } else {
        if (c == ')' && rewriting->depth-- == 0)
            rewriting->wrong = rewriting->at;
        if (c == '{' || c == '}' || c == ']')
            text_add_char(&rewriting->out, '\\');
        text_add_char(&rewriting->out, c);
        rewriting->repeatable = c != '|' && c != '^';
        rewriting->at++;
    }
}

static int pattern_wrong(const char *option, const char *text, const char *why)
{
    complain("%s %s: not a regular expression that is understood: %s", option, text, why);
    return -1;
}

int run_pattern_read(struct run_pattern *pattern, const char *option, const char *text)
{
    *pattern = (struct run_pattern){.literal = strpbrk(text, ".[]{}()\\*+?|^$") || !*text ? NULL : text};
    bool caseless = strncmp(text, "(?i)", 4) == 0;
    struct rewriting rewriting = {.at = text + (caseless ? 4 : 0), .captures = pattern->captures};
    while (*rewriting.at && !rewriting.wrong)
        rewrite_one(&rewriting);
    int error = 0;
    if (!rewriting.wrong) {
        error = regcomp(&pattern->regex, text_string(&rewriting.out), REG_EXTENDED | (caseless ? REG_ICASE : 0));
        pattern->ready = error == 0;
        pattern->groups = rewriting.groups;
    }
    text_free(&rewriting.out);
    if (rewriting.wrong)
        return pattern_wrong(option, text, rewriting.wrong);
    if (pattern->ready)
        return 0;
    char why[128];
    regerror(error, &pattern->regex, why, sizeof why);
    return pattern_wrong(option, text, why);
}

static bool find_literal(const char *literal, struct span text, size_t from, struct run_match *match)
{
    size_t length = strlen(literal);
    const char *found = memmem(text.at + from, text.length - from, literal, length);
    match->at[0] = (struct span){found, length};
    return found != NULL;
}

bool run_pattern_find(const struct run_pattern *pattern, struct span text, size_t from, struct run_match *match)
{
    if (pattern->literal)
        return find_literal(pattern->literal, text, from, match);
    regmatch_t places[RUN_PATTERN_GROUPS + 1] = {{.rm_so = (regoff_t)from, .rm_eo = (regoff_t)text.length}};
    if (regexec(&pattern->regex, text.at, pattern->groups + 1, places, REG_STARTEND) != 0)
        return false;
    for (size_t i = 0; i <= pattern->groups; i++)
        match->at[i] = places[i].rm_so < 0 ? (struct span){NULL, 0}
                                           : (struct span){text.at + places[i].rm_so, (size_t)(places[i].rm_eo - places[i].rm_so)};
    return true;
}

void run_pattern_free(struct run_pattern *pattern)
{
    if (pattern->ready)
        regfree(&pattern->regex);
    pattern->ready = false;
}
