/* SPDX-License-Identifier: MIT */
/* What the commands for managers have in common. Keys come from files: a command line is seen by everybody on the machine. */
#include "managers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"

bool whole_number(const char *word, const char *of, long least, long *number)
{
    char *end;
    errno = 0;
    *number = strtol(word, &end, 10);
    if (*word && !*end && errno == 0 && *number >= least)
        return true;
    complain("%s takes a number of at least %ld, not '%s'", of, least, word);
    return false;
}

bool seconds_number(const char *word, const char *of, double *seconds)
{
    char *end;
    *seconds = strtod(word, &end);
    if (*word && !*end && isfinite(*seconds) && *seconds >= 0)
        return true;
    complain("%s takes seconds, not '%s'", of, word);
    return false;
}

void key_refuse(char *key)
{
    memset(key, '*', strlen(key));
    complain("a key on the command line is seen by everybody: put it into a file, --authkey-file FILE");
}

/* A file that says nothing but the end of a line; what is no file is read once, and not here. */
static bool key_is_empty(const char *path)
{
    struct stat what;
    if (stat(path, &what) != 0 || !S_ISREG(what.st_mode) || what.st_size > 1)
        return false;
    FILE *file = fopen(path, "r");
    int first = file ? getc(file) : 0;
    if (file)
        fclose(file);
    return first == EOF || first == '\n';
}

void address_refuse(const char *address)
{
    complain("'%s' is no address to listen at; they are HOST:PORT with a number or localhost as host, unix:PATH or abstract:NAME", address);
}

weft_remote *manager_reach(const char *address, const char *key_file, double seconds)
{
    if (!key_file) {
        complain("the key is needed: --authkey-file FILE");
        return NULL;
    }
    if (key_is_empty(key_file)) {
        complain("the key in %s is empty", key_file);
        return NULL;
    }
    weft_remote *remote = weft_manager_connect(address, weft_in(seconds), .key_file = key_file);
    if (remote)
        return remote;
    if (errno == EACCES)
        complain("%s: the key in %s is not accepted, or cannot be read", address, key_file);
    else if (errno == EINVAL)
        complain("'%s' is no address; they are HOST:PORT, unix:PATH or abstract:NAME", address);
    else if (errno == ENOENT && !strstr(address, "unix:") && access(key_file, F_OK) == 0)
        complain("%s: no machine of that name is known", address);
    else
        complain("cannot reach a manager at %s with the key in %s: %s", address, key_file, strerror(errno));
    return NULL;
}

/* What is left of what a line may have; octets as many as an answer may have of which nothing comes twice. */
struct line_room {
    size_t values, octets;
};

static bool room_takes(struct line_room *room, weft_value value);

static bool room_takes_all(struct line_room *room, weft_value container)
{
    weft_value key, item;
    size_t at = 0;
    bool fits = true, dict = container.kind == WEFT_DICT;
    if (dict)
        while (fits && weft_dict_next(container, &at, &key, &item))
            fits = room_takes(room, key) && room_takes(room, item);
    else if (container.kind == WEFT_SET || container.kind == WEFT_FROZENSET)
        while (fits && weft_set_next(container, &at, &item))
            fits = room_takes(room, item);
    else
        for (; fits && at < weft_length(container); at++)
            fits = room_takes(room, weft_list_at(container, (ptrdiff_t)at));
    return fits;
}

static bool room_takes(struct line_room *room, weft_value value)
{
    size_t octets = 0;
    if (room->values == 0)
        return false;
    room->values--;
    switch (weft_kind(value)) {
    case WEFT_LIST:
    case WEFT_TUPLE:
    case WEFT_DICT:
    case WEFT_SET:
    case WEFT_FROZENSET:
        return room_takes_all(room, value);
    case WEFT_OBJECT:
        return room_takes(room, weft_object_arguments(value)) && room_takes(room, weft_object_state(value));
    case WEFT_STR:
    case WEFT_BYTES:
    case WEFT_BYTEARRAY:
    case WEFT_NUMBERS:
        octets = weft_length(value);
        break;
    default:
        break;
    }
    if (octets > room->octets)
        return false;
    room->octets -= octets;
    return true;
}

bool json_fits(weft_value value)
{
    struct line_room room = {.values = (size_t)1 << 22, .octets = (size_t)1 << 26};
    return room_takes(&room, value);
}

void error_text(struct text *to, weft_value error)
{
    const char *type = weft_error_type(error), *text = weft_error_text(error), *last = text;
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n')
            last = text + i + 1;
    bool remote = type && strcmp(type, "multiprocessing.managers.RemoteError") == 0;
    if (type && !remote) {
        text_add_string(to, type);
        text_add_string(to, length ? ": " : "");
    }
    if (!type || length)
        text_add(to, last, (size_t)(text + length - last));
}
