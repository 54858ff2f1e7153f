/* SPDX-License-Identifier: MIT */
/* Pickles: against Python's own (tests/pickle/make.py), against what managers were seen to send (captured.hex), and against what nobody
 * should. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "fixture.h"
#include "python_found.h"
#include "value/object.h"
#include "value/pickle.h"

static struct wefti_pickle_reason reason;

static const struct wefti_pickle_limits stays = {.exceptions_stay = true};

static const char digit_row[] = "0123456789abcdef";

/* Octets of hexadecimal digits, spaces among them: yours to free. */
static unsigned digit_value(char digit)
{
    if ((digit < '0' || digit > '9') && (digit < 'a' || digit > 'f')) /* an assertion at each digit would take longer than all the rest */
        ck_abort_msg("'%c' is no digit", digit);
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static unsigned char *octets_of(const char *digits, size_t *length)
{
    unsigned char *octets = malloc(strlen(digits) / 2 + 1);
    *length = 0;
    for (unsigned half = 0; *digits && *digits != '\n'; digits++) {
        if (*digits == ' ')
            continue;
        octets[*length] = (unsigned char)(half ? (unsigned)octets[*length] << 4 | digit_value(*digits) : digit_value(*digits));
        *length += half;
        half = !half;
    }
    return octets;
}

/* Reads from a block of exactly that size, so that AddressSanitizer sees a step beyond. */
static int read_limited(const char *digits, const struct wefti_pickle_limits *limits, weft_value *value)
{
    size_t length;
    unsigned char *octets = octets_of(digits, &length), *exact = malloc(length ? length : 1);
    memcpy(exact, octets, length);
    free(octets);
    int result = wefti_pickle_read(exact, length, limits, value, &reason);
    free(exact);
    return result;
}

static weft_value read_hex(const char *digits)
{
    weft_value value = weft_none;
    ck_assert_msg(read_limited(digits, NULL, &value) == 0, "%.100s: %s", digits, reason.text);
    return value;
}

/* The pickle of a value, as hexadecimal digits: yours to free. */
static char *hex_of(weft_value value)
{
    struct wefti_octets out = {0};
    ck_assert_msg(wefti_pickle_write(value, &out, SIZE_MAX, &reason) == 0, "%s", reason.text);
    char *digits = malloc(2 * out.length + 1);
    for (size_t i = 0; i < out.length; i++) {
        digits[2 * i] = digit_row[(unsigned char)out.octets[i] >> 4];
        digits[2 * i + 1] = digit_row[out.octets[i] & 15];
    }
    digits[2 * out.length] = 0;
    free(out.octets);
    return digits;
}

static void assert_refused(const char *digits, int code, const char *why)
{
    weft_value value = weft_int(77);
    errno = 0;
    ck_assert_msg(read_limited(digits, NULL, &value) == -1, "%s was read", digits);
    ck_assert_str_eq(reason.text, why);
    ck_assert_int_eq(errno, code);
    ck_assert_int_eq(weft_as_int(value), 77);
}

/* Takes the value. */
static void assert_written(weft_value value, const char *digits)
{
    char expected[600], *written = hex_of(value);
    size_t length = 0;
    for (; *digits; digits++)
        if (*digits != ' ')
            expected[length++] = *digits;
    expected[length] = 0;
    ck_assert_str_eq(written, expected);
    free(written);
    weft_drop(value);
}

static weft_value tuple4(weft_value a, weft_value b, weft_value c, weft_value d)
{
    return weft_tuple((weft_value[]){a, b, c, d}, 4);
}

static weft_value pair(weft_value a, weft_value b)
{
    return weft_tuple((weft_value[]){a, b}, 2);
}

static weft_value triple(weft_value a, weft_value b, weft_value c)
{
    return weft_tuple((weft_value[]){a, b, c}, 3);
}

static weft_value one(weft_value a)
{
    return weft_tuple(&a, 1);
}

static weft_value list_of(weft_value item)
{
    weft_value list = weft_list();
    ck_assert_int_eq(weft_list_append(list, item), 0);
    return list;
}

static weft_value nothing(void)
{
    return weft_tuple(NULL, 0);
}

static weft_value token(const char *type, const char *address, const char *ident)
{
    return weft_object("multiprocessing.managers.Token", nothing(), triple(weft_str(type), weft_str(address), weft_str(ident)));
}

#define MANAGERS "8c186d756c746970726f63657373696e672e6d616e6167657273"

/* The forms that are known to be read by every Python. */
START_TEST(what_is_written_is_known_to_the_octet)
{
    weft_value timeout = weft_dict(), exposed = weft_object("multiprocessing.managers.ListProxy", weft_none, weft_none);
    weft_dict_set_str(timeout, "timeout", weft_float(1.5));
    assert_written(tuple4(weft_none, weft_str("dummy"), nothing(), weft_dict()), "8004 28 4e 8c0564756d6d79 29 7d94 74 94 2e");
    assert_written(tuple4(weft_none, weft_str("create"), one(weft_str("get_task_queue")), weft_dict()),
        "8004 28 4e 8c06637265617465 8c0e6765745f7461736b5f7175657565 8594 7d94 74 94 2e");
    assert_written(tuple4(weft_str("1f"), weft_str("get"), nothing(), timeout),
        "8004 28 8c023166 8c03676574 29 7d94 8c0774696d656f7574 473ff8000000000000 73 74 94 2e");
    assert_written(tuple4(weft_str("1f"), weft_str("__getitem__"),
                       one(weft_object("slice", triple(weft_int(1), weft_int(3), weft_none), weft_none)), weft_dict()),
        "8004 28 8c023166 8c0b5f5f6765746974656d5f5f 8c086275696c74696e73 8c05736c696365 93 4b01 4b03 4e 87 52 8594 7d94 74 94 2e");
    assert_written(pair(weft_str("#RETURN"), weft_none), "8004 8c072352455455524e 4e 86 94 2e");
    assert_written(pair(weft_str("#RETURN"), pair(weft_str("1f"), pair(weft_str("get"), weft_str("put")))),
        "8004 8c072352455455524e 8c023166 8c03676574 8c03707574 8694 8694 8694 2e");
    assert_written(pair(weft_str("#ERROR"), weft_object("queue.Empty", nothing(), weft_none)),
        "8004 8c06234552524f52 8c057175657565 8c05456d707479 93 29 52 86 94 2e");
    assert_written(pair(weft_str("#ERROR"), weft_error_of_type(EAGAIN, "queue.Empty", NULL)),
        "8004 8c06234552524f52 8c057175657565 8c05456d707479 93 29 52 86 94 2e");
    assert_written(pair(weft_str("#ERROR"), weft_object("KeyError", one(weft_str("k")), weft_none)),
        "8004 8c06234552524f52 8c086275696c74696e73 8c084b65794572726f72 93 8c016b 8594 52 86 94 2e");
    assert_written(pair(weft_str("#PROXY"), pair(one(weft_str("__next__")), token("Iterator", "/tmp/s", "1f"))),
        "8004 8c062350524f5859 8c085f5f6e6578745f5f 8594" MANAGERS
        "8c05546f6b656e 93 29 81 94 8c084974657261746f72 8c062f746d702f73 8c023166 87 62 8694 8694 2e");
    assert_written(weft_object("multiprocessing.managers.RebuildProxy",
                       tuple4(exposed, token("list", "/s", "1"), weft_str("pickle"), weft_dict()), weft_none),
        "8004" MANAGERS "8c0c52656275696c6450726f7879 93 28" MANAGERS "8c094c69737450726f7879 93" MANAGERS
        "8c05546f6b656e 93 29 81 94 8c046c697374 8c022f73 8c0131 87 62 8c067069636b6c65 7d94 74 52 94 2e");
}
END_TEST

START_TEST(numbers_and_texts_are_written_in_their_shortest_form)
{
    assert_written(weft_int(255), "8004 4bff 2e");
    assert_written(weft_int(65535), "8004 4dffff 2e");
    assert_written(weft_int(-1), "8004 4affffffff 2e");
    assert_written(weft_int(INT64_C(1) << 31), "8004 8a050000008000 2e");
    assert_written(weft_int(INT64_MIN), "8004 8a080000000000000080 2e");
    assert_written(weft_int_n("\0\0\0\0\0\0\0\0\1", 9), "8004 8a09000000000000000001 2e");
    assert_written(weft_float(-0.0), "8004 478000000000000000 2e");
    assert_written(weft_bytes("a", 1), "8004 430161 2e");
    assert_written(weft_bytearray("a", 1), "8004 8c086275696c74696e73 8c09627974656172726179 93 430161 85 52 94 2e");
    assert_written(weft_numbers('b', "a", 1), "8004 8c056172726179 8c056172726179 93 8c0162 430161 86 52 94 2e");
    weft_value set = weft_set();
    weft_set_add(set, weft_bool(true));
    assert_written(pair(set, weft_frozenset((weft_value[]){weft_none}, 1)), "8004 8f94 28 88 90 28 4e 91 94 86 94 2e");
}
END_TEST

static weft_value rewritten(weft_value value)
{
    char *written = hex_of(value);
    weft_value same = read_hex(written);
    free(written);
    return same;
}

/* Each way in which a line of make.py can be read and written again. */
static void take_line(char *line, FILE *again)
{
    char *kind = strtok(line, " "), *number = strtok(NULL, " "), *expected = strtok(NULL, " "), *digits = strtok(NULL, " \n"), *written;
    weft_value value = read_hex(digits);
    size_t length, printed = weft_repr(value, NULL, 0);
    if (strcmp(kind, "value") == 0) {
        char *text = malloc(printed + 1);
        weft_repr(value, text, printed + 1);
        unsigned char *wanted = octets_of(expected, &length);
        ck_assert_msg(printed == length && memcmp(text, wanted, length) == 0, "%s is not %.*s", text, (int)length, (char *)wanted);
        free(wanted), free(text);
    } else if (strcmp(kind, "error") == 0) {
        char *text = strchr(expected, ':') + 1;
        text[-1] = 0;
        ck_assert(weft_is_error(value));
        unsigned char *type = octets_of(expected, &length), *told = octets_of(*text == '-' ? "" : text, &printed);
        ck_assert_mem_eq(weft_error_type(value), type, length + 0);
        ck_assert_uint_eq(strlen(weft_error_text(value)), printed);
        ck_assert_mem_eq(weft_error_text(value), told, printed);
        free(type), free(told);
        weft_value object;
        ck_assert_int_eq(read_limited(digits, &stays, &object), 0);
        written = hex_of(object);
        fprintf(again, "stays %s %s\n", number, written);
        free(written);
        weft_drop(object);
    }
    written = hex_of(value);
    fprintf(again, "%s %s %s\n", kind, number, written);
    weft_value same = weft_none;
    if (strcmp(kind, "error") != 0) {
        same = rewritten(value);
        char *twice = hex_of(same);
        ck_assert(weft_equal(same, value));
        ck_assert_uint_eq(strlen(twice), strlen(written)); /* nothing grows on its way */
        free(twice);
    }
    free(written);
    weft_drop(same), weft_drop(value);
}

/* The interpreters that may be there: the first is asked for all protocols, the others for the latest. */
static const char *const pythons[] = {
    "python3", "python3.8", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"};

START_TEST(python_and_we_understand_each_other)
{
    char python[300], command[900], answer[100] = "", path[300];
    if (_i > 0 && fixture_copies())
        fixture_skip("under Valgrind one version must do");
    if (!python_found(pythons[_i], python))
        fixture_skip("this version of Python is not there");
    snprintf(path, sizeof(path), "%s/again", fixture_folder());
    snprintf(command, sizeof(command), "%s " TESTS_FOLDER "/pickle/make.py %s", python, _i == 0 ? "2 3 4 5" : "5");
    FILE *made = popen(command, "r"), *again = fopen(path, "w");
    char *line = NULL;
    size_t room = 0;
    unsigned lines = 0;
    for (; getline(&line, &room, made) > 0; lines++)
        take_line(line, again);
    free(line);
    fclose(again);
    ck_assert_int_eq(pclose(made), 0);
    ck_assert_uint_gt(lines, 100);
    snprintf(command, sizeof(command), "%s " TESTS_FOLDER "/pickle/make.py check < %s", python, path);
    FILE *checked = popen(command, "r");
    unsigned count = 0, wrong = 1;
    ck_assert_ptr_nonnull(fgets(answer, sizeof(answer), checked));
    ck_assert_int_eq(pclose(checked), 0);
    ck_assert_int_eq(sscanf(answer, "%u %u", &count, &wrong), 2);
    ck_assert_uint_gt(count, lines);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(what_managers_send_is_read)
{
    FILE *captured = fopen(TESTS_FOLDER "/pickle/captured.hex", "r");
    char *line = NULL;
    size_t room = 0;
    unsigned lines = 0;
    ck_assert_ptr_nonnull(captured);
    for (; getline(&line, &room, captured) > 0; lines++) {
        weft_value value, same;
        ck_assert_msg(read_limited(line, &stays, &value) == 0, "%s: %s", line, reason.text);
        char *written = hex_of(value);
        ck_assert_int_eq(read_limited(written, &stays, &same), 0);
        ck_assert(weft_equal(value, same));
        free(written);
        weft_drop(value), weft_drop(same);
    }
    ck_assert_uint_gt(lines, 50);
    free(line);
    fclose(captured);
}
END_TEST

START_TEST(names_are_refused_by_name)
{
    assert_refused("8004 8c05706f736978 8c0673797374656d 93 8c026c73 85 52 2e", EBADMSG, "refusing pickle global posix.system");
    assert_refused("8002 63 706f7369780a 73797374656d0a 58020000006c73 85 52 2e", EBADMSG, "refusing pickle global posix.system");
    assert_refused("8004 8c086275696c74696e73 8c046576616c 93 8c0131 85 52 2e", EBADMSG, "refusing pickle global builtins.eval");
    assert_refused("8004 8c095f5f6d61696e5f5f0a 8c034a6f62 93 29 81 2e", EBADMSG, "refusing pickle global __main__?.Job");
    assert_refused("8004 8c086275696c74696e73 8c05736c696365 93 29 81 2e", EBADMSG, "refusing pickle global builtins.slice as a class");
    assert_refused(
        "8004 8c086275696c74696e73 8c05736c696365 93 29 52 2e", EBADMSG, "refusing pickle global builtins.slice with these arguments");
    assert_refused("8004 8c086275696c74696e73 8c05736c696365 93 2e", EBADMSG, "refusing pickle global builtins.slice as a value");
    assert_refused("8004 8c086275696c74696e73 8c05736c696365 93 85 2e", EBADMSG, "refusing pickle global builtins.slice as a value");
    assert_refused("8004 5d 8c086275696c74696e73 8c05736c696365 93 61 2e", EBADMSG, "refusing pickle global builtins.slice as a value");
    assert_refused("8004 4b01 29 52 2e", EBADMSG, "the pickle calls what cannot be called, at offset 5");
    assert_refused("8004" MANAGERS "8c05546f6b656e 93 29 81 2e", EBADMSG, "the pickle has a token or a class that belongs to nothing");
    assert_refused("8004" MANAGERS "8c094c69737450726f7879 93 2e", EBADMSG, "the pickle has a token or a class that belongs to nothing");
    assert_refused("8004" MANAGERS "8c05546f6b656e 93 29 81 29 62 2e", EBADMSG, "the pickle sets the state of what has none, at offset 39");
}
END_TEST

START_TEST(operations_are_refused_by_number)
{
    assert_refused("6c70300a49310a612e", EBADMSG, "refusing pickle opcode 0x6c at offset 0: protocols 0 and 1 are not read");
    assert_refused("5d71004b01612e", EBADMSG, "refusing pickle opcode 0x71 at offset 1: protocols 0 and 1 are not read");
    assert_refused("8001 4e2e", EBADMSG, "refusing pickle protocol 1: 2 to 5 are read");
    assert_refused("8006 4e2e", EBADMSG, "refusing pickle protocol 6: 2 to 5 are read");
    assert_refused("8004 5d71002e", EBADMSG, "refusing pickle opcode 0x71 at offset 3");
    assert_refused("8004 4e 82 01 2e", EBADMSG, "refusing pickle opcode 0x82 at offset 3");
    assert_refused("8005 97 2e", EBADMSG, "refusing pickle opcode 0x97 at offset 2");
    assert_refused("8004 4e 92 2e", EBADMSG, "refusing pickle opcode 0x92 at offset 3");
    assert_refused("8004 50 2e", EBADMSG, "refusing pickle opcode 0x50 at offset 2");
}
END_TEST

START_TEST(what_is_no_pickle_is_refused)
{
    assert_refused("", EBADMSG, "the pickle ends too soon");
    assert_refused("8004", EBADMSG, "the pickle ends too soon");
    assert_refused("8004 4e", EBADMSG, "the pickle ends too soon");
    assert_refused("8004 2e", EBADMSG, "the pickle ends with 0 values");
    assert_refused("8004 4e 4e 2e", EBADMSG, "the pickle ends with 2 values");
    assert_refused("8004 4e 28 2e", EBADMSG, "the pickle ends with 1 values");
    assert_refused("8004 4e 2e 4e", EBADMSG, "the pickle ends before its octets do");
    assert_refused("8004 8c05 6162 2e", EBADMSG, "the pickle ends too soon");
    assert_refused("8004 58ffffffff 2e", EBADMSG, "the pickle ends too soon");
    assert_refused("8004 8effffffffffffffff 2e", EBADMSG, "the pickle ends too soon");
    assert_refused("8004 8bffffffff 2e", EBADMSG, "the pickle ends too soon");
    assert_refused("8004 95ff00000000000000 4e 2e", EBADMSG, "the pickle ends too soon");
    assert_refused("8004 86 2e", EBADMSG, "the pickle's stack is empty at offset 2");
    assert_refused("8004 4e 28 4e 86 2e", EBADMSG, "the pickle's stack is empty at offset 5");
    assert_refused("8004 74 2e", EBADMSG, "the pickle has no mark at offset 2");
    assert_refused("8004 28 4e 65 2e", EBADMSG, "the pickle's stack is empty at offset 4");
    assert_refused("8004 4e 4e 61 2e", EBADMSG, "the pickle has no list at offset 4");
    assert_refused("8004 5d 4e 4e 73 2e", EBADMSG, "the pickle has no dict at offset 5");
    assert_refused("8004 8f 4e 4e 73 2e", EBADMSG, "the pickle has no dict at offset 5");
    assert_refused("8004 7d 28 4e 75 2e", EBADMSG, "the pickle has no dict at offset 5");
    assert_refused("8004 68 00 2e", EBADMSG, "the pickle's memo has no value 0");
    assert_refused("8002 4e 71 01 2e", EBADMSG, "the pickle's memo has no value 1");
    assert_refused("8004 7d 5d 4e 73 2e", EBADMSG, "the pickle has a key or a member of a set that cannot be one");
    assert_refused("8004 28 7d 91 2e", EBADMSG, "the pickle has a key or a member of a set that cannot be one");
    assert_refused("8004 8c01ff 2e", EBADMSG, "the pickle has a str that is no UTF-8");
    assert_refused("8004 4e 4e 93 2e", EBADMSG, "the pickle has a global without a name");
    assert_refused("8004 4e 7d 62 2e", EBADMSG, "the pickle sets the state of what has none, at offset 4");
}
END_TEST

/* Read, printed, and written again. */
static void assert_recursive(const char *digits, const char *printed, const char *written)
{
    char text[200];
    weft_value value = read_hex(digits), same = rewritten(value);
    weft_repr(value, text, sizeof(text));
    ck_assert_str_eq(text, printed);
    ck_assert(weft_equal(value, same));
    weft_drop(same);
    assert_written(value, written);
}

START_TEST(what_lies_in_itself_refers_upwards)
{
    assert_recursive("8004 5d94 6800 61 2e", "[[...]]", "8004 5d94 6800 61 2e");
    assert_recursive("8004 5d94 28 4b01 6800 6800 65 2e", "[1, [...], [...]]", "8004 5d94 28 4b01 6800 6800 65 2e");
    assert_recursive("8004 7d94 4e 6800 73 2e", "{None: {...}}", "8004 7d94 4e 6800 73 2e");
    assert_recursive("8004 5d94 5d94 6800 61 61 2e", "[[[...]]]", "8004 5d94 5d94 6800 61 61 2e");
    assert_recursive("8004 5d94 6800 85 61 2e", "[([...],)]", "8004 5d94 6800 8594 61 2e");
    /* a tuple in a list in itself, as Python has it: within itself, then popped */
    assert_recursive("8004 5d94 6800 8594 61 30 6801 2e", "([(...)],)", "8004 5d94 6800 8594 61 30 6801 2e");
    /* L = [], M = [L], L.append(M), M.append(1): all at once M has it */
    assert_recursive("8004 5d94 5d94 6800 61 61 6801 4b01 61 30 2e", "[[[...], 1]]", "8004 5d94 5d94 28 6800 4b01 65 61 2e");
    assert_written(one(list_of(weft_above(2))), "8004 5d94 6800 8594 61 30 6801 2e");
    weft_value list = list_of(weft_above(2));
    assert_written(
        tuple4(weft_int(1), weft_int(2), weft_int(3), list), "8004 28 4b01 4b02 4b03 5d94 28 4b01 4b02 4b03 6800 7494 61 31 6801 2e");
    /* its arguments are a tuple, too */
    weft_value error = weft_object("ValueError", one(list_of(weft_above(2))), weft_none);
    assert_written(error, "8004 8c086275696c74696e73 8c0a56616c75654572726f72 93 5d94 6800 8594 61 30 6801 5294 2e");
}
END_TEST

START_TEST(an_exception_tells_what_lies_in_itself)
{
    weft_value error = read_hex("8004 8c086275696c74696e73 8c0a56616c75654572726f72 93 5d94 28 6800 7d94 4e 6800 73 65 85 52 2e");
    ck_assert_str_eq(weft_error_text(error), "[[...], {None: [...]}]");
    weft_drop(error);
}
END_TEST

static weft_value parent(weft_value child)
{
    weft_value key = weft_str("p"), item = weft_none;
    ck_assert_int_eq(weft_dict_get(child, key, &item), 0);
    weft_drop(key);
    return item;
}

/* T = (I, O, [I]), both lists hold T alone: it is written within itself, and that again, where O is not what that lies in. */
START_TEST(a_tuple_within_itself_is_where_it_was_first)
{
    weft_value inner = list_of(weft_above(2)), again = list_of(weft_above(3));
    weft_value outer = list_of(weft_tuple((weft_value[]){inner, weft_above(2), list_of(again)}, 3));
    assert_written(outer, "8004 5d94 5d94 6801 6800 5d94 5d94 6801 6800 6802 8794 61 61 303030 6804 61 30 6804 61 2e");
}
END_TEST

/* Each of forty tuples holds the next, and a list of itself: they are written twice each, not 2^40 times. */
START_TEST(tuples_within_themselves_do_not_multiply)
{
    weft_value tuple = weft_none;
    for (int i = 0; i < 40; i++)
        tuple = pair(tuple, list_of(weft_above(2)));
    char *written = hex_of(tuple);
    ck_assert_uint_lt(strlen(written), 40 * 40);
    free(written);
    weft_drop(tuple);
}
END_TEST

START_TEST(a_reference_upwards_stays_in_its_place)
{
    /* child = {'p': root} twice in root, at different depths: [[child], child] */
    weft_value root = read_hex("8004 5d94 28 5d 7d94 8c0170 6800 73 61 6801 65 2e");
    weft_value deep = weft_list_at(weft_list_at(root, 0), 0), shallow = weft_list_at(root, 1), child;
    ck_assert_int_eq(weft_as_int(parent(deep)), 3);
    ck_assert_int_eq(weft_as_int(parent(shallow)), 2);
    child = weft_unfold(root, shallow);
    ck_assert(weft_equal(parent(child), root) && !weft_equal(child, shallow));
    weft_drop(child);
    weft_value between = weft_unfold(root, weft_list_at(root, 0));
    child = weft_unfold(between, weft_list_at(between, 0));
    ck_assert(weft_equal(parent(child), root));
    weft_drop(child), weft_drop(between), weft_drop(root);
}
END_TEST

/* The same tuple twice in a list, at different depths: it means the one list, and the other. */
START_TEST(what_lies_in_two_places_may_mean_two_things)
{
    weft_value inner = weft_list(), outer = weft_list(), tuple = one(weft_above(2));
    ck_assert_int_eq(weft_list_append(inner, weft_keep(tuple)), 0);
    ck_assert_int_eq(weft_list_append(outer, weft_keep(tuple)), 0);
    ck_assert_int_eq(weft_list_append(outer, inner), 0);
    ck_assert_int_eq(weft_list_append(outer, tuple), 0);
    assert_written(outer, "8004 5d94 28 6800 8594 5d94 6802 8594 61 6800 8594 65 2e");
}
END_TEST

/* What several items lead to stays one, and is copied once. */
START_TEST(a_copy_shares_what_was_shared)
{
    weft_value list = weft_list(), item = list_of(weft_above(2)), copy;
    weft_list_append(list, weft_keep(item)), weft_list_append(list, item);
    copy = weft_copy(list);
    weft_drop(list);
    assert_written(copy, "8004 5d94 28 5d94 5d94 28 5d94 6802 61 6803 65 61 6801 65 2e");
}
END_TEST

/* L = [T0, ... T40], T0 holds L, the others the one before twice. */
START_TEST(what_is_unfolded_has_its_weight)
{
    char digits[1000] = "8004 5d94 28 4e 6800 8694", *at = digits + strlen(digits);
    for (int i = 1; i <= 40; i++)
        at += sprintf(at, "68%02x 68%02x 8694", i, i);
    sprintf(at, "65 2e");
    weft_value list = read_hex(digits), item = weft_unfold(list, weft_list_at(list, 40));
    ck_assert_uint_eq(wefti_value_weight(weft_list_at(list, 40)), WEFTI_WEIGHT_MOST);
    ck_assert_uint_eq(wefti_value_weight(item), WEFTI_WEIGHT_MOST);
    weft_drop(item), weft_drop(list);
}
END_TEST

START_TEST(what_cannot_be_recursive_is_refused)
{
    struct wefti_pickle_limits relay = {.relay = true};
    weft_value value;
    assert_refused("8004 8f94 28 6800 90 2e", EBADMSG, "the pickle has a key or a member of a set that cannot be one");
    assert_refused("8004 " MANAGERS "8c094e616d657370616365 93 29 81 94 7d 8c0161 6800 73 62 2e", EBADMSG,
        "refusing a value that lies in itself (an object)");
    ck_fails(read_limited("8004 5d94 8c0161 8c0162 93 6800 85 52 61 2e", &relay, &value), EBADMSG);
    ck_assert_str_eq(reason.text, "refusing a value that lies in itself (an object)");
    struct wefti_octets out = {0};
    weft_value wrong = list_of(weft_above(2));
    ck_fails(wefti_pickle_write(wrong, &out, SIZE_MAX, &reason), EINVAL);
    ck_assert_str_eq(reason.text, "a reference upwards, out of what is sent");
    ck_fails(wefti_pickle_write(weft_above(0), &out, SIZE_MAX, &reason), EINVAL);
    weft_drop(wrong);
    wrong = one(weft_above(1)); /* which nobody can make */
    ck_fails(wefti_pickle_write(wrong, &out, SIZE_MAX, &reason), EINVAL);
    ck_assert_str_eq(reason.text, "a value that lies in itself (a tuple)");
    weft_drop(wrong);
    wrong = list_of(one(pair(list_of(weft_above(1)), weft_above(2))));
    ck_fails(wefti_pickle_write(wrong, &out, SIZE_MAX, &reason), EINVAL);
    weft_drop(wrong);
    wrong = weft_object("ValueError", one(list_of(weft_above(3))), weft_none);
    ck_fails(wefti_pickle_write(wrong, &out, SIZE_MAX, &reason), EINVAL);
    ck_assert_str_eq(reason.text, "a value that lies in itself (an object)");
    weft_drop(wrong);
    free(out.octets);
}
END_TEST

/* L lies in a tuple, and grows deeper than may be; the tuple has been weighed before. */
START_TEST(what_grows_where_it_lies_is_weighed_again)
{
    struct wefti_pickle_limits few = {.depth = 5};
    weft_value value;
    ck_assert_int_eq(read_limited("8004 5d94 85 85 85 94 30 6800 5d 61 30 6801 2e", &few, &value), 0);
    weft_drop(value);
    ck_fails(read_limited("8004 5d94 85 85 85 94 30 6800 5d 85 61 30 6801 2e", &few, &value), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the pickle's values lie more than 5 within each other");
}
END_TEST

/* A number of lists each of which holds all: there are more ways through them than could be walked. */
static int read_everything(unsigned lists, weft_value *value)
{
    char digits[4000] = "8004", *at = digits + 4;
    for (unsigned i = 0; i < lists; i++)
        at += sprintf(at, "5d94");
    for (unsigned i = lists; i-- > 0; at += sprintf(at, i ? "6530" : "652e")) {
        at += sprintf(at, "28");
        for (unsigned other = 0; other < lists; other++)
            at += sprintf(at, "68%02x", other);
    }
    return read_limited(digits, NULL, value);
}

START_TEST(recursion_does_not_multiply_work)
{
    weft_value value;
    ck_assert_int_eq(read_everything(5, &value), 0);
    weft_value same = rewritten(value);
    ck_assert(weft_equal(same, value));
    weft_drop(same), weft_drop(value);
    ck_fails(read_everything(28, &value), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the values of a pickle of 1710 octets need too much memory");
}
END_TEST

/* What lies in several containers is one value again, and may be changed when it is taken out of all but one. */
START_TEST(what_is_shared_stays_shared)
{
    weft_value list = weft_list(), inner[300];
    for (int i = 0; i < 300; i++) {
        inner[i] = list_of(weft_int(i));
        weft_list_append(list, weft_keep(inner[i]));
    }
    for (int i = 0; i < 300; i++)
        weft_list_append(list, inner[i]);
    char *digits = hex_of(list);
    weft_value again = read_hex(digits);
    ck_assert(weft_equal(list, again));
    for (int i = 0; i < 300; i++)
        ck_assert_ptr_eq(wefti_object_of(weft_list_at(again, i), WEFT_LIST), wefti_object_of(weft_list_at(again, 300 + i), WEFT_LIST));
    ck_fails(weft_list_append(weft_list_at(again, 0), weft_none), EBUSY);
    ck_assert_int_eq(weft_list_append(again, weft_none), 0);
    free(digits);
    weft_drop(list), weft_drop(again);
}
END_TEST

START_TEST(what_is_alone_may_be_changed)
{
    weft_value value = read_hex("8004 7d94 8c0161 94 5d94 73 2e"), list;
    ck_assert_int_eq(weft_dict_get_str(value, "a", &list), 0);
    ck_assert_int_eq(weft_list_append(list, weft_int(1)), 0);
    ck_assert_int_eq(weft_dict_set_str(value, "b", weft_none), 0);
    weft_drop(value);
}
END_TEST

/* Of 40 tuples, each of which holds the next twice: 2^40 leaves in less than 200 octets. */
static char *laughs(const char *inside, const char *after)
{
    static char digits[1000];
    strcpy(digits, "8004");
    strcat(digits, inside);
    char *at = digits + 4 + strlen(inside);
    for (int i = 0; i < 40; i++)
        at += sprintf(at, "94 68%02x 86", (unsigned)i);
    strcpy(at, after);
    return digits;
}

START_TEST(sharing_does_not_multiply_work)
{
    weft_value value = read_hex(laughs("29", "2e"));
    char *written = hex_of(value);
    ck_assert_uint_lt(strlen(written), 1000);
    free(written);
    weft_drop(value);
    char *as_key = laughs("29", "2e");
    char key[1000];
    snprintf(key, sizeof(key), "80047d%.*s4e732e", (int)strlen(as_key) - 6, as_key + 4);
    assert_refused(key, EMSGSIZE, "the keys of a pickle of 167 octets are too large");
    value = read_hex(laughs("29", "2e"));
    weft_drop(value);
    /* an exception's text is not printed to its end */
    snprintf(key, sizeof(key), "80048c086275696c74696e738c0a56616c75654572726f7293%.*s85522e", (int)strlen(as_key) - 6, as_key + 4);
    value = read_hex(key);
    ck_assert(weft_is_error(value));
    ck_assert_uint_lt(strlen(weft_error_text(value)), 1000);
    weft_drop(value);
}
END_TEST

/* So many of one opcode between a begin and an end. */
static int read_many(const char *begin, unsigned char opcode, size_t count, const char *end, const struct wefti_pickle_limits *limits)
{
    size_t length, end_length;
    unsigned char *first = octets_of(begin, &length), *last = octets_of(end, &end_length), *octets = malloc(length + count + end_length);
    memcpy(octets, first, length);
    memset(octets + length, opcode, count);
    memcpy(octets + length + count, last, end_length);
    weft_value value;
    int result = wefti_pickle_read(octets, length + count + end_length, limits, &value, &reason);
    int error = errno;
    if (result == 0)
        weft_drop(value);
    free(first), free(last), free(octets);
    errno = error;
    return result;
}

START_TEST(limits_hold)
{
    struct wefti_pickle_limits few = {.stack = 10, .memo = 10, .depth = 5, .base = 300, .factor = 1, .length = 100};
    ck_fails(read_many("8004", 'N', 11, "2e", &few), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the pickle has more than 10 values on its stack");
    ck_fails(read_many("8004", '(', 11, "2e", &few), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the pickle has more than 10 marks");
    ck_fails(read_many("80044e", 0x94, 11, "2e", &few), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the pickle has more than 10 values in its memo");
    ck_fails(read_many("8004", 'N', 100, "2e", &few), EMSGSIZE);
    ck_assert_str_eq(reason.text, "a pickle of 103 octets, more than 100");
    ck_assert_int_eq(read_many("80044e", 0x85, 5, "2e", NULL), 0);
    few.base = 3000;
    ck_fails(read_many("80044e", 0x85, 6, "2e", &few), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the pickle's values lie more than 5 within each other");
    few = (struct wefti_pickle_limits){.base = 300, .factor = 1};
    ck_fails(read_many("8004", '}', 10, "2e", &few), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the values of a pickle of 13 octets need too much memory");
    ck_assert_int_eq(read_many("80044e", 0x85, 999, "2e", NULL), 0);
    ck_assert_int_eq(read_many("80044e", 0x85, 1000, "2e", NULL), 0);
    ck_fails(read_many("80044e", 0x85, 1001, "2e", NULL), EMSGSIZE);
    ck_fails(read_many("8004", '}', 100000, "2e", NULL), EMSGSIZE);
    ck_fails(read_many("8004", 'N', (1 << 20) + 1, "2e", NULL), EMSGSIZE);
    ck_fails(read_many("80048b01100000", 1, 4097, "2e", NULL), EMSGSIZE);
    ck_assert_str_eq(reason.text, "the pickle has an integer of more than 4096 octets");
    ck_assert_int_eq(read_many("80048b00100000", 1, 4096, "2e", NULL), 0);
}
END_TEST

START_TEST(what_cannot_be_sent_is_told)
{
    struct wefti_octets out = {0};
    weft_value list = list_of(weft_ptr(&out)), wrong = weft_str("\xff"), strange = weft_object("mypkg.Job", nothing(), weft_none);
    weft_value constant = weft_object("Ellipsis", nothing(), weft_none), long_one = weft_bytes(NULL, 0), broken = {.kind = WEFT_LIST};
    memcpy(wefti_octets_reserve(&out, 3), "abc", 3);
    out.length = 3;
    ck_fails(wefti_pickle_write(list, &out, 100, &reason), EFAULT);
    ck_assert_str_eq(reason.text, "a pointer means nothing elsewhere");
    ck_fails(wefti_pickle_write(wrong, &out, 100, &reason), EILSEQ);
    ck_fails(wefti_pickle_write(strange, &out, 100, &reason), EINVAL);
    ck_assert_str_eq(reason.text, "an object of the class mypkg.Job cannot be sent");
    ck_fails(wefti_pickle_write(constant, &out, 100, &reason), EINVAL);
    ck_fails(wefti_pickle_write(broken, &out, 100, &reason), EINVAL);
    ck_fails(wefti_pickle_write(long_one, &out, 4, &reason), EMSGSIZE);
    ck_assert_int_eq(wefti_pickle_write(long_one, &out, 5, &reason), 0);
    ck_assert_uint_eq(out.length, 8);
    ck_assert_mem_eq(out.octets, "abc\x80\x04\x43\0.", 8);
    weft_drop(list), weft_drop(wrong), weft_drop(strange), weft_drop(constant), weft_drop(long_one);
    free(out.octets);
}
END_TEST

START_TEST(errors_of_ours_are_pythons_too)
{
    char *digits = hex_of(weft_error(ENOENT, NULL));
    weft_value error = read_hex(digits);
    free(digits);
    ck_assert_str_eq(weft_error_type(error), "OSError");
    ck_assert_str_eq(weft_error_text(error), "[Errno 2] No such file or directory");
    ck_assert_int_eq(weft_error_code(error), ENOENT);
    weft_drop(error);
    weft_value strange = weft_error_of_type(EIO, "mypkg.Mine", "text");
    digits = hex_of(strange);
    error = read_hex(digits);
    ck_assert_str_eq(weft_error_type(error), "RuntimeError");
    ck_assert_str_eq(weft_error_text(error), "mypkg.Mine: text");
    free(digits);
    weft_drop(error), weft_drop(strange);
}
END_TEST

START_TEST(writing_has_no_limit_of_depth)
{
    weft_value value = weft_list();
    for (int i = 0; i < 20000; i++)
        value = i % 2 ? one(value) : list_of(value);
    char *digits = hex_of(value);
    ck_assert_uint_gt(strlen(digits), 80000);
    free(digits);
    weft_drop(value);
}
END_TEST

/* Whatever the octets are: a value that can be written again, or a clean refusal. */
static void survives(const unsigned char *octets, size_t length)
{
    weft_value value;
    unsigned char *exact = malloc(length ? length : 1);
    memcpy(exact, octets, length);
    errno = 0;
    if (wefti_pickle_read(exact, length, length % 2 ? &stays : NULL, &value, &reason) == 0) {
        struct wefti_octets out = {0};
        if (wefti_pickle_write(value, &out, 1 << 20, &reason) != 0)
            ck_assert(errno == EINVAL || errno == EMSGSIZE);
        free(out.octets);
        weft_drop(value);
    } else {
        ck_assert_msg(errno == EBADMSG || errno == EMSGSIZE, "%d: %s", errno, reason.text);
        ck_assert_uint_gt(strlen(reason.text), 0);
    }
    free(exact);
}

START_TEST(whatever_comes_is_survived)
{
    FILE *captured = fopen(TESTS_FOLDER "/pickle/captured.hex", "r");
    char *line = NULL;
    size_t room = 0, length;
    unsigned seed = 1;
    while (getline(&line, &room, captured) > 0) {
        unsigned char *octets = octets_of(line, &length);
        for (size_t cut = 0; cut < length; cut += 1 + length / 50)
            survives(octets, cut);
        for (int round = 0; round < 300; round++) {
            size_t at = (size_t)rand_r(&seed) % length, with = (size_t)rand_r(&seed) % length;
            unsigned char before = octets[at];
            octets[at] = round % 3 ? octets[with] : (unsigned char)rand_r(&seed);
            survives(octets, length);
            if (round % 7)
                octets[at] = before;
        }
        free(octets);
    }
    free(line);
    fclose(captured);
}
END_TEST

#ifdef WEFTI_SMALL
static void fail_each(const unsigned char *octets, size_t length, unsigned *failures)
{
    for (long n = 1;; n++) {
        weft_value value;
        struct wefti_octets out = {0};
        weft_small_fail_after(n);
        bool read = wefti_pickle_read(octets, length, n % 2 ? &stays : NULL, &value, &reason) == 0;
        weft_value copy = read ? weft_copy(value) : weft_none;
        bool wrote = read && !weft_is_error(copy) && wefti_pickle_write(value, &out, SIZE_MAX, &reason) == 0;
        int error = errno;
        if (weft_error_code(copy) == ENOMEM)
            snprintf(reason.text, sizeof(reason.text), "out of memory");
        bool reached = weft_small_asked() >= n;
        weft_small_fail_after(0);
        if (read)
            weft_drop(value);
        weft_drop(copy);
        free(out.octets);
        *failures += !wrote;
        if (!wrote) {
            ck_assert_int_eq(error, ENOMEM);
            ck_assert_str_eq(reason.text, "out of memory");
        }
        if (!reached)
            break;
    }
}

/* Lists, tuples and dicts in themselves, in each other, in an object's state and in an exception's arguments. */
static const char *const recursive[] = {
    "8004 5d94 28 6800 6800 85 5d94 6800 61 7d94 4b01 6800 73 65 2e",
    "8004 5d94 5d94 6801 6800 5d94 5d94 6801 6800 6802 8794 61 61 303030 6804 61 30 6804 61 2e",
    "8004 28 4b01 4b02 4b03 5d94 28 4b01 4b02 4b03 6800 7494 61 31 6801 2e",
    "8004 5d94 28 " MANAGERS "8c094e616d657370616365 93 29 81 94 7d 8c0161 6800 73 62 8c086275696c74696e73 8c0a56616c75654572726f72 93 "
    "6800 85 52 65 2e",
};

START_TEST(any_allocation_may_fail)
{
    FILE *captured = fopen(TESTS_FOLDER "/pickle/captured.hex", "r");
    char *line = NULL;
    size_t room = 0, length;
    unsigned failures = 0;
    while (getline(&line, &room, captured) > 0) {
        unsigned char *octets = octets_of(line, &length);
        fail_each(octets, length, &failures);
        free(octets);
    }
    for (size_t i = 0; i < sizeof(recursive) / sizeof(*recursive); i++) {
        unsigned char *octets = octets_of(recursive[i], &length);
        fail_each(octets, length, &failures);
        free(octets);
    }
    ck_assert_uint_gt(failures, 1000);
    free(line);
    fclose(captured);
}
END_TEST
#endif

START_TEST(programs_dump_and_load)
{
    weft_value list = weft_list(), bytes, again, error;
    weft_list_append(list, weft_str("item"));
    ck_assert_int_eq(weft_pickle_dump(list, &bytes, NULL), 0);
    ck_assert_int_eq(weft_pickle_load(weft_as_bytes(bytes), weft_length(bytes), &again, &error), 0);
    ck_assert(weft_equal(list, again));
    weft_drop(again), weft_drop(bytes);
    ck_fails(weft_pickle_dump(weft_ptr(&list), &bytes, &error), EFAULT);
    ck_assert_str_eq(weft_error_text(error), "a pointer means nothing elsewhere");
    weft_drop(error);
    ck_fails(weft_pickle_load("junk", 4, &again, &error), EBADMSG);
    ck_assert_int_eq(weft_error_code(error), EBADMSG);
    weft_drop(error);
    ck_fails(weft_pickle_load(NULL, 0, &again, NULL), EINVAL);
    weft_drop(list);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, programs_dump_and_load);
    tcase_add_test(tests, what_is_written_is_known_to_the_octet);
    tcase_add_test(tests, numbers_and_texts_are_written_in_their_shortest_form);
    tcase_add_loop_test(tests, python_and_we_understand_each_other, 0, sizeof(pythons) / sizeof(*pythons));
    tcase_add_test(tests, what_managers_send_is_read);
    tcase_add_test(tests, names_are_refused_by_name);
    tcase_add_test(tests, operations_are_refused_by_number);
    tcase_add_test(tests, what_is_no_pickle_is_refused);
    tcase_add_test(tests, what_lies_in_itself_refers_upwards);
    tcase_add_test(tests, an_exception_tells_what_lies_in_itself);
    tcase_add_test(tests, a_tuple_within_itself_is_where_it_was_first);
    tcase_add_test(tests, tuples_within_themselves_do_not_multiply);
    tcase_add_test(tests, a_reference_upwards_stays_in_its_place);
    tcase_add_test(tests, what_lies_in_two_places_may_mean_two_things);
    tcase_add_test(tests, a_copy_shares_what_was_shared);
    tcase_add_test(tests, what_is_unfolded_has_its_weight);
    tcase_add_test(tests, what_cannot_be_recursive_is_refused);
    tcase_add_test(tests, what_grows_where_it_lies_is_weighed_again);
    tcase_add_test(tests, recursion_does_not_multiply_work);
    tcase_add_test(tests, what_is_shared_stays_shared);
    tcase_add_test(tests, what_is_alone_may_be_changed);
    tcase_add_test(tests, sharing_does_not_multiply_work);
    tcase_add_test(tests, limits_hold);
    tcase_add_test(tests, what_cannot_be_sent_is_told);
    tcase_add_test(tests, errors_of_ours_are_pythons_too);
    tcase_add_test(tests, writing_has_no_limit_of_depth);
    tcase_add_test(tests, whatever_comes_is_survived);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, any_allocation_may_fail);
#endif
}

int main(void)
{
    return fixture_main("pickle", add);
}
