/* SPDX-License-Identifier: MIT */
/*
 * Values as Python prints them. Needs no memory, and the same four kilobytes of stack for any value, or eight with bigints: containers are
 * walked with a fixed number of levels, and one that is nested deeper than that is printed as [...], (...) or {...}.
 */

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "value/object.h"
#include "value/utf8.h"

enum { REPR_DEPTH = 100 };

struct printer {
    char *buffer;
    size_t size;
    size_t length; /* of all that was printed, whether or not it fitted */
};

static void print_octets(struct printer *out, const char *octets, size_t length)
{
    if (out->length < out->size) {
        size_t fits = out->size - out->length;
        memcpy(out->buffer + out->length, octets, length < fits ? length : fits);
    }
    out->length += length;
}

static void print_text(struct printer *out, const char *text)
{
    print_octets(out, text, strlen(text));
}

static void print_number(struct printer *out, const char *format, int64_t number)
{
    char text[32];
    snprintf(text, sizeof text, format, number);
    print_text(out, text);
}

/*
 * Floats: the fewest digits that lead back to the same float, in Python's clothes. All comes from printf's %e, whose decimal point is the
 * locale's, so that only the digits and the exponent are taken from it.
 */
struct decimal {
    char digits[24];
    int count;
    int exponent; /* of the first digit: 1.5 has 0 */
};

static void decimal_round(struct decimal *decimal, double real, int digits)
{
    char text[48];
    snprintf(text, sizeof text, "%.*e", digits - 1, real);
    const char *at = text;
    for (decimal->count = 0; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9')
            decimal->digits[decimal->count++] = *at;
    decimal->exponent = (int)strtol(at + 1, NULL, 10);
}

static bool decimal_is(const struct decimal *decimal, double real)
{
    char text[48];
    snprintf(text, sizeof text, "%.*se%d", decimal->count, decimal->digits, decimal->exponent - decimal->count + 1);
    return strtod(text, NULL) == real;
}

/* The next decimal of as many digits; of 9.99 it makes 0.00, which is nothing's. */
static void decimal_up(struct decimal *decimal)
{
    int at = decimal->count - 1;
    while (at >= 0 && decimal->digits[at] == '9')
        decimal->digits[at--] = '0';
    if (at >= 0)
        decimal->digits[at]++;
}

/*
 * `real` is positive and finite. What 15 digits or fewer can tell, 15 do (with zeros); only subnormal floats are coarser. Below a power of
 * two the floats lie twice as dense as above: there the nearest decimal may be another float's, while the next one up is not.
 */
static void decimal_shortest(struct decimal *decimal, double real)
{
    for (int digits = real < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        decimal_round(decimal, real, digits);
        if (decimal_is(decimal, real))
            break;
        decimal_up(decimal);
        if (decimal_is(decimal, real))
            break;
    }
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
}

static void print_zeros(struct printer *out, int count)
{
    while (count-- > 0)
        print_octets(out, "0", 1);
}

/* 0.001, 12.5, 1200.0 */
static void print_positional(struct printer *out, const struct decimal *decimal)
{
    int before = decimal->exponent + 1; /* digits before the point */
    if (before <= 0) {
        print_text(out, "0.");
        print_zeros(out, -before);
        print_octets(out, decimal->digits, (size_t)decimal->count);
        return;
    }
    int given = before < decimal->count ? before : decimal->count;
    print_octets(out, decimal->digits, (size_t)given);
    print_zeros(out, before - given);
    print_text(out, ".");
    print_octets(out, decimal->digits + given, (size_t)(decimal->count - given));
    print_zeros(out, given == decimal->count);
}

/* 1e+16, 1.5e-07 */
static void print_scientific(struct printer *out, const struct decimal *decimal)
{
    char exponent[16];
    print_octets(out, decimal->digits, 1);
    if (decimal->count > 1) {
        print_text(out, ".");
        print_octets(out, decimal->digits + 1, (size_t)decimal->count - 1);
    }
    snprintf(exponent, sizeof exponent, "e%+03d", decimal->exponent);
    print_text(out, exponent);
}

static void print_float(struct printer *out, double real)
{
    struct decimal decimal = {"0", 1, 0};
    if (real != real) {
        print_text(out, "nan");
        return;
    }
    if (__builtin_signbit(real))
        print_text(out, "-");
    real = __builtin_fabs(real);
    if (__builtin_isinf(real)) {
        print_text(out, "inf");
        return;
    }
    if (real > 0)
        decimal_shortest(&decimal, real);
    if (decimal.exponent < -4 || decimal.exponent >= 16)
        print_scientific(out, &decimal);
    else
        print_positional(out, &decimal);
}

/* Of a complex number, where Python leaves out ".0". */
static void print_complex_part(struct printer *out, double real)
{
    char text[32];
    struct printer part = {text, sizeof text, 0};
    print_float(&part, real);
    if (part.length > 2 && text[part.length - 2] == '.' && text[part.length - 1] == '0')
        part.length -= 2;
    print_octets(out, text, part.length);
}

/*
 * What a reader would not see, or would see as something else: controls, spaces other than the plain one, marks that change the direction
 * of text, surrogates, private use. Python has a table of all of Unicode and escapes unassigned characters too.
 */
static bool character_hidden(uint32_t character)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {{0, 0x1f}, {0x7f, 0xa0}, {0xad, 0xad}, {0x600, 0x605}, {0x61c, 0x61c}, {0x6dd, 0x6dd}, {0x70f, 0x70f}, {0x1680, 0x1680},
        {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff}, {0xfeff, 0xfeff},
        {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff}};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (character >= hidden[i].first && character <= hidden[i].last)
            return true;
    return false;
}

static void print_escape(struct printer *out, uint32_t character)
{
    char text[16];
    const char *format = character < 0x100 ? "\\x%02" PRIx32 : character < 0x10000 ? "\\u%04" PRIx32 : "\\U%08" PRIx32;
    if (character == '\n' || character == '\r' || character == '\t')
        format = character == '\n' ? "\\n" : character == '\r' ? "\\r" : "\\t";
    snprintf(text, sizeof text, format, character);
    print_text(out, text);
}

/* Prints one character (of bytes: one octet) and returns how many octets it took. */
static size_t print_character(struct printer *out, const char *text, size_t length, char quote, bool utf8)
{
    uint32_t character = (unsigned char)*text;
    size_t octets = utf8 ? wefti_utf8_character(text, length, &character) : character < 0x80;
    if (octets == 0) {
        print_escape(out, (unsigned char)*text);
        return 1;
    }
    if (character_hidden(character)) {
        print_escape(out, character);
        return octets;
    }
    if (*text == quote || *text == '\\')
        print_text(out, "\\");
    print_octets(out, text, octets);
    return octets;
}

static void print_quoted(struct printer *out, const struct wefti_text *text, bool utf8)
{
    bool single = memchr(text->octets, '\'', text->length), twofold = memchr(text->octets, '"', text->length);
    char quote = single && !twofold ? '"' : '\'';
    print_octets(out, &quote, 1);
    for (size_t at = 0; at < text->length;)
        at += print_character(out, text->octets + at, text->length - at, quote, utf8);
    print_octets(out, &quote, 1);
}

static void print_error(struct printer *out, weft_value error)
{
    const char *name = strerrorname_np(error.code);
    bool told = wefti_value_counted(error) || strerrordesc_np(error.code);
    const char *type = weft_error_type(error);
    print_text(out, "<error ");
    if (name)
        print_text(out, name);
    else
        print_number(out, "%" PRId64, error.code);
    if (type) {
        print_text(out, ": ");
        print_text(out, type);
    }
    if (told) {
        print_text(out, ": ");
        print_text(out, weft_error_text(error));
    }
    print_text(out, ">");
}

/* Out of line: its room is on the stack only while there is one to print. */
__attribute__((noinline)) static void print_bigint(struct printer *out, const struct wefti_text *bigint)
{
    struct wefti_bigint_groups decimal;
    wefti_bigint_decimal(bigint, &decimal);
    print_text(out, bigint->octets[bigint->length - 1] & 0x80 ? "-" : "");
    for (size_t i = decimal.first; i < WEFTI_BIGINT_GROUPS; i++)
        print_number(out, i == decimal.first ? "%" PRId64 : "%09" PRId64, decimal.groups[i]);
}

/* The number that lies there, in native order. */
static void print_one_number(struct printer *out, char type, const char *octets)
{
    uint64_t integer = 0;
    float single;
    double real;
    size_t size = wefti_numbers_size(type);
    memcpy(&integer, octets, size);
    memcpy(&single, octets, sizeof(single) < size ? sizeof(single) : size);
    memcpy(&real, octets, size);
    unsigned unused = 64 - 8 * (unsigned)size;
    if (type == 'd' || type == 'f')
        print_float(out, type == 'd' ? real : (double)single);
    else if (type >= 'a')
        print_number(out, "%" PRId64, (int64_t)(integer << unused) >> unused);
    else
        print_number(out, "%" PRIu64, (int64_t)integer);
}

static void print_numbers(struct printer *out, const struct wefti_text *numbers)
{
    char type = (char)numbers->head.more;
    size_t size = wefti_numbers_size(type);
    print_text(out, "array('");
    print_octets(out, &type, 1);
    print_text(out, numbers->length ? "', [" : "'");
    for (size_t at = 0; at < numbers->length; at += size) {
        print_text(out, at ? ", " : "");
        print_one_number(out, type, numbers->octets + at);
    }
    print_text(out, numbers->length ? "])" : ")");
}

static void print_of_octets(struct printer *out, const struct wefti_text *text, unsigned kind)
{
    if (kind == WEFT_BIGINT) {
        print_bigint(out, text);
    } else if (kind == WEFT_NUMBERS) {
        print_numbers(out, text);
    } else {
        print_text(out, kind == WEFT_BYTEARRAY ? "bytearray(b" : kind == WEFT_BYTES ? "b" : "");
        print_quoted(out, text, kind == WEFT_STR);
        print_text(out, kind == WEFT_BYTEARRAY ? ")" : "");
    }
}

static void print_plain(struct printer *out, weft_value value)
{
    struct wefti_text *text = wefti_text_of(value);
    if (value.kind == WEFT_NONE) {
        print_text(out, "None");
    } else if (value.kind == WEFT_BOOL) {
        print_text(out, value.as.integer ? "True" : "False");
    } else if (value.kind == WEFT_INT) {
        print_number(out, "%" PRId64, value.as.integer);
    } else if (value.kind == WEFT_FLOAT) {
        print_float(out, value.as.real);
    } else if (value.kind == WEFT_PTR) {
        print_number(out, "<ptr 0x%" PRIx64 ">", value.as.integer);
    } else if (value.kind == WEFT_ERROR) {
        print_error(out, value);
    } else if (text) {
        print_of_octets(out, text, value.kind);
    } else {
        print_text(out, "<broken value>");
    }
}

struct level {
    weft_value container;
    size_t at;
    size_t printed; /* things; of a dict, a key and its item are two */
    bool of_object; /* it is a tuple of arguments */
};

struct levels {
    struct level of[REPR_DEPTH];
    size_t depth;
};

/* Python has no other way to write an empty set. */
static const char *container_begin(weft_value value)
{
    bool empty = wefti_kind_set(value.kind) && weft_length(value) == 0;
    switch ((enum weft_value_kind)value.kind) {
    case WEFT_LIST:
        return "[";
    case WEFT_TUPLE:
    case WEFT_OBJECT:
        return "(";
    case WEFT_SET:
        return empty ? "set(" : "{";
    case WEFT_FROZENSET:
        return empty ? "frozenset(" : "frozenset({";
    default:
        return "{";
    }
}

static const char *container_end(weft_value value)
{
    bool empty = wefti_kind_set(value.kind) && weft_length(value) == 0;
    switch ((enum weft_value_kind)value.kind) {
    case WEFT_LIST:
        return "]";
    case WEFT_TUPLE:
    case WEFT_OBJECT:
        return ")";
    case WEFT_SET:
        return empty ? ")" : "}";
    case WEFT_FROZENSET:
        return empty ? ")" : "})";
    default:
        return "}";
    }
}

/* (1+2j); what has no real part, not even minus zero, is printed without one. */
static bool print_complex(struct printer *out, weft_value object)
{
    weft_value arguments = weft_object_arguments(object);
    weft_value real = weft_list_at(arguments, 0), imaginary = weft_list_at(arguments, 1);
    if (strcmp(weft_object_name(object), "complex") != 0 || real.kind != WEFT_FLOAT || imaginary.kind != WEFT_FLOAT)
        return false;
    bool both = real.as.real != 0 || __builtin_signbit(real.as.real);
    print_text(out, both ? "(" : "");
    if (both)
        print_complex_part(out, real.as.real);
    print_text(out, both && (imaginary.as.real != imaginary.as.real || !__builtin_signbit(imaginary.as.real)) ? "+" : "");
    print_complex_part(out, imaginary.as.real);
    print_text(out, both ? "j)" : "j");
    return true;
}

/* range(0, 3), without a step that is 1. */
static bool print_range(struct printer *out, weft_value object)
{
    weft_value arguments = weft_object_arguments(object), step = weft_list_at(arguments, 2);
    if (strcmp(weft_object_name(object), "range") != 0 || weft_length(arguments) != 3 || step.kind != WEFT_INT || step.as.integer != 1)
        return false;
    print_text(out, "range(");
    print_plain(out, weft_list_at(arguments, 0));
    print_text(out, ", ");
    print_plain(out, weft_list_at(arguments, 1));
    print_text(out, ")");
    return true;
}

/*
 * A proxy that lies in something, as Python prints one: <DictProxy object, typeid 'dict' at 0x...>, though for the number of the object it
 * is of, not for where it lies itself.
 */
static bool print_proxy(struct printer *out, weft_value object)
{
    if (strcmp(weft_object_name(object), "multiprocessing.managers.RebuildProxy") != 0)
        return false;
    weft_value class = weft_list_at(weft_object_arguments(object), 0), token = weft_list_at(weft_object_arguments(object), 1);
    weft_value type = weft_list_at(weft_object_state(token), 0), ident = weft_list_at(weft_object_state(token), 2);
    if (class.kind != WEFT_OBJECT || type.kind != WEFT_STR || ident.kind != WEFT_STR)
        return false;
    const char *name = weft_object_name(class), *dot = strrchr(name, '.');
    print_text(out, "<");
    print_text(out, dot ? dot + 1 : name);
    if (strcmp(name, "multiprocessing.managers.AutoProxy") == 0) {
        print_text(out, "[");
        print_text(out, weft_as_str(type));
        print_text(out, "]");
    }
    print_text(out, " object, typeid ");
    print_plain(out, type);
    print_text(out, " at 0x");
    print_text(out, weft_as_str(ident));
    print_text(out, ">");
    return true;
}

static void print_global(struct printer *out, weft_value names)
{
    for (ptrdiff_t i = 0; i < 2; i++) {
        weft_value name = weft_list_at(names, i);
        print_text(out, i ? "." : "");
        print_text(out, name.kind == WEFT_STR ? weft_as_str(name) : "?");
    }
}

/* One that is only known elsewhere: decimal.Decimal('1.5'), as it was made; what was done to it then is not shown. */
static bool print_inert(struct printer *out, weft_value *object)
{
    weft_value parts = weft_object_arguments(*object), what = weft_list_at(parts, 0), arguments = weft_list_at(parts, 1);
    if (strcmp(weft_object_name(*object), "python.global") == 0) {
        print_global(out, parts);
        *object = weft_none;
        return true;
    }
    if (!wefti_object_inert(*object) || !wefti_object_inert(what) || arguments.kind != WEFT_TUPLE)
        return false;
    bool named = strcmp(weft_object_name(what), "python.global") == 0;
    if (named)
        print_global(out, weft_object_arguments(what));
    else
        print_text(out, "...");
    *object = arguments;
    return true;
}

/* An object's name, without its module. Then its arguments are what is printed as a container; false when it has none. */
static bool print_name(struct printer *out, weft_value *object)
{
    if (print_complex(out, *object) || print_range(out, *object) || print_proxy(out, *object))
        return false;
    if (print_inert(out, object))
        return !weft_is_none(*object);
    const char *name = weft_object_name(*object), *dot = strrchr(name, '.');
    print_text(out, dot ? dot + 1 : name);
    *object = weft_object_arguments(*object);
    return !weft_is_none(*object);
}

/* What lies in itself, as Python prints that: [...]. An object's arguments are a level, and it is another. */
static void print_above(struct printer *out, const struct levels *levels, int64_t up)
{
    size_t depth = levels->depth;
    for (; depth > 0 && up > 0 && !(up == 1 && !levels->of[depth - 1].of_object); depth--)
        up -= levels->of[depth - 1].of_object ? 2 : 1;
    bool found = depth > 0 && up == 1 && !levels->of[depth - 1].of_object;
    print_text(out, found ? container_begin(levels->of[depth - 1].container) : "");
    print_text(out, "...");
    print_text(out, found ? container_end(levels->of[depth - 1].container) : "");
}

/* While a pickle is read there may be cycles yet, and the text of an exception with such an argument is made then. */
static bool levels_have(const struct levels *levels, weft_value value)
{
    size_t depth = levels->depth;
    while (depth > 0 && wefti_handle_object(levels->of[depth - 1].container) != wefti_handle_object(value))
        depth--;
    return depth > 0;
}

static void print_begin(struct printer *out, struct levels *levels, weft_value value)
{
    bool of_object = wefti_object_of(value, WEFT_OBJECT) != NULL;
    if (value.kind == WEFT_ABOVE) {
        print_above(out, levels, value.as.integer);
        return;
    }
    if (!wefti_kind_contains(value.kind) || !value.as.pointer) {
        print_plain(out, value);
        return;
    }
    if (of_object && !print_name(out, &value))
        return;
    print_text(out, container_begin(value));
    if (levels->depth < REPR_DEPTH && !levels_have(levels, value)) {
        levels->of[levels->depth++] = (struct level){value, 0, 0, of_object};
        return;
    }
    print_text(out, "...");
    print_text(out, container_end(value));
}

static void print_end(struct printer *out, struct levels *levels)
{
    const struct level *level = &levels->of[--levels->depth];
    if (level->container.kind == WEFT_TUPLE && level->printed == 1 && !level->of_object)
        print_text(out, ",");
    print_text(out, container_end(level->container));
}

/* The next thing of the innermost container, or its end. */
static void print_step(struct printer *out, struct levels *levels)
{
    struct level *level = &levels->of[levels->depth - 1];
    weft_value item;
    if (!wefti_container_next(level->container, &level->at, &item)) {
        print_end(out, levels);
        return;
    }
    bool of_key = level->container.kind == WEFT_DICT && level->printed % 2;
    if (level->printed++)
        print_text(out, of_key ? ": " : ", ");
    print_begin(out, levels, item);
}

/* Stops as soon as `most` octets are printed. */
static size_t repr(weft_value value, char *buffer, size_t size, size_t most)
{
    struct printer out = {buffer, size, 0};
    struct levels levels;
    int before = errno;
    levels.depth = 0;
    print_begin(&out, &levels, value);
    while (levels.depth && out.length < most)
        print_step(&out, &levels);
    if (size)
        buffer[out.length < size ? out.length : size - 1] = 0;
    errno = before;
    return out.length;
}

size_t weft_repr(weft_value value, char *buffer, size_t size)
{
    return repr(value, buffer, size, SIZE_MAX);
}

size_t wefti_repr_begin(weft_value value, char *buffer, size_t size)
{
    size_t length = repr(value, buffer, size, size);
    return length < size ? length : wefti_utf8_whole(buffer);
}
