/* SPDX-License-Identifier: MIT */
/* See run_json.h. */
#include "run_json.h"

#include <stdint.h>

/* How many octets a character has that begins with this one; 0: none does. */
static size_t utf8_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Whether a character's second octet may follow its first: this leaves out what is too long, surrogates, and what is beyond U+10FFFF. */
static bool utf8_second_fits(unsigned char first, unsigned char second)
{
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= least && second <= most;
}

/* How many of the octets there are that go on with the character which the first begins: as many as it has, or fewer. */
static size_t utf8_present(const unsigned char *at, size_t count, size_t length)
{
    size_t present = 1;
    while (present < length && present < count && (present == 1 ? utf8_second_fits(at[0], at[1]) : (at[present] & 0xc0) == 0x80))
        present++;
    return present;
}

static void json_add_short(struct text *out, unsigned char octet)
{
    if (octet == '"' || octet == '\\') {
        text_add_char(out, '\\');
        text_add_char(out, (char)octet);
    } else if (octet == '\n') {
        text_add_string(out, "\\n");
    } else if (octet < ' ' || octet == 127) {
        text_format(out, "\\u%04x", octet);
    } else {
        text_add_char(out, (char)octet);
    }
}

size_t run_json_add_octets(struct text *out, struct span octets, bool last)
{
    const unsigned char *at = (const unsigned char *)octets.at;
    size_t taken = 0;
    while (taken < octets.length) {
        size_t left = octets.length - taken, length = utf8_length(at[taken]);
        size_t present = length > 1 ? utf8_present(at + taken, left, length) : length;
        if (length > 1 && present == left && present < length && !last)
            break;
        if (length == 1)
            json_add_short(out, at[taken]);
        else if (length && present == length)
            text_add(out, at + taken, length);
        else
            text_format(out, "\\udc%02x", at[taken]);
        taken += length && present == length ? length : 1;
    }
    return taken;
}

void run_json_add_string(struct text *out, struct span string)
{
    text_add_char(out, '"');
    run_json_add_octets(out, string, true);
    text_add_char(out, '"');
}
