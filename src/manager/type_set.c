/* SPDX-License-Identifier: MIT */
/*
 * set, which SyncManager has since Python 3.14: a weft set, which nobody else holds. Results are sets by value.
 *
 * The operators take sets only, as Python's do, and the methods of the same sense whatever can be iterated over; a proxy is taken for the
 * set that it refers to. What changes the object by others makes a new set first, and then puts that in place of the old one: a request
 * that is refused in its middle has changed nothing. All that one call hashes and compares is bounded (wefti_compares).
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"
#include "value/object.h"

static weft_value *set_held(const struct wefti_managed *object)
{
    return object->state;
}

static weft_value set_of(const struct wefti_call *call)
{
    return *set_held(call->object);
}

static bool is_set(weft_value value)
{
    return wefti_kind_set(value.kind);
}

/* Whether it can be hashed, and all that the call hashes is not too much. */
static bool item_usable(size_t *work, weft_value item)
{
    if (wefti_comparable(item) && wefti_compares(work, item, item))
        return true;
    errno = EMSGSIZE;
    return false;
}

/* The item stays the caller's. False with errno. */
static bool set_store(weft_value set, weft_value item, size_t *work)
{
    weft_value kept = weft_keep(item);
    if (item_usable(work, item) && weft_set_add(set, kept) >= 0)
        return true;
    int error = errno;
    weft_drop(kept);
    errno = error;
    return false;
}

/* A set of a list's items: yours, or *error. */
static weft_value set_of_list(struct wefti_call *call, weft_value items, weft_value *error)
{
    weft_value set = weft_set();
    size_t work = 0;
    if (weft_is_error(set))
        *error = wefti_raise_memory(call);
    for (size_t i = 0; !wefti_raised(call) && i < weft_length(items); i++)
        if (!set_store(set, weft_list_at(items, (ptrdiff_t)i), &work))
            *error = wefti_raise_unhashable(call, weft_list_at(items, (ptrdiff_t)i));
    return set;
}

/* What is given as the other side of an operation, as a set; yours. *error where it is none and cannot be made one; `sign`: nor may it. */
static weft_value set_given(struct wefti_call *call, weft_value given, const char *sign, weft_value *error)
{
    weft_value made, value = wefti_dereferenced(call, given, &made), set = weft_none;
    if (is_set(value))
        set = weft_keep(value);
    else if (sign)
        *error = wefti_raise_text(call, "TypeError", "unsupported operand type(s) for %s: 'set' and '%s'", sign, wefti_type_name(value));
    else {
        weft_value items = wefti_items_of(call, value);
        if (wefti_raised(call))
            *error = items;
        else {
            set = set_of_list(call, items, error);
            weft_drop(items);
        }
    }
    weft_drop(made);
    return set;
}

/* Adds those of `from` that are in `among`, or that are not. False with errno. */
static bool set_add_those(weft_value to, weft_value from, weft_value among, bool in, size_t *work)
{
    weft_value item;
    size_t at = 0;
    while (weft_set_next(from, &at, &item)) {
        int has = item_usable(work, item) ? weft_set_has(among, item) : -1;
        if (has < 0 || ((has > 0) == in && !set_store(to, item, work)))
            return false;
    }
    return true;
}

enum sense { AND, OR, SUB, XOR };

/* A new set of two: yours, or *error. */
static weft_value set_combined(struct wefti_call *call, weft_value a, weft_value b, enum sense sense, weft_value *error)
{
    weft_value to = weft_set();
    size_t work = 0;
    bool good = !weft_is_error(to) && set_add_those(to, a, sense == OR ? to : b, sense == AND, &work);
    if (sense == OR || sense == XOR)
        good = good && set_add_those(to, b, sense == OR ? to : a, false, &work);
    if (!good)
        *error = wefti_raise_unhashable(call, weft_none);
    return to;
}

/* Puts another in the place of the object's set. */
static void set_replace(struct wefti_call *call, weft_value fresh)
{
    weft_value *held = set_held(call->object);
    weft_drop(*held);
    *held = fresh;
}

/* The verbs that combine, in the order of their names. */
struct verb {
    const char *name, *sign; /* an operator's sign: it takes one set, no more, and nothing else */
    enum sense sense;
    bool turned; /* the other set is the left one */
    bool stays;  /* what comes of it is the object's from now on */
};
static const struct verb verbs[] = {
    {"__and__", "&", AND, .turned = false},
    {"__iand__", "&=", AND, .stays = true},
    {"__ior__", "|=", OR, .stays = true},
    {"__isub__", "-=", SUB, .stays = true},
    {"__ixor__", "^=", XOR, .stays = true},
    {"__or__", "|", OR, .turned = false},
    {"__rand__", "&", AND, .turned = true},
    {"__ror__", "|", OR, .turned = true},
    {"__rsub__", "-", SUB, .turned = true},
    {"__rxor__", "^", XOR, .turned = true},
    {"__sub__", "-", SUB, .turned = false},
    {"__xor__", "^", XOR, .turned = false},
    {"difference", NULL, SUB, .stays = false},
    {"difference_update", NULL, SUB, .stays = true},
    {"intersection", NULL, AND, .stays = false},
    {"intersection_update", NULL, AND, .stays = true},
    {"symmetric_difference", NULL, XOR, .stays = false},
    {"symmetric_difference_update", NULL, XOR, .stays = true},
    {"union", NULL, OR, .stays = false},
    {"update", NULL, OR, .stays = true},
};

static const struct verb *verb_of(const struct wefti_call *call)
{
    const struct verb *verb = verbs;
    while (strcmp(verb->name, call->name) != 0)
        verb++;
    return verb;
}

/* The frozenset of a set's members; yours. An error with errno. */
static weft_value set_frozen(weft_value set)
{
    weft_value member, *members = NULL;
    size_t count = 0, at = 0;
    if (weft_length(set) > 0 && !(members = wefti_alloc_raw(weft_length(set) * sizeof(*members))))
        return weft_error(errno, NULL);
    while (weft_set_next(set, &at, &member))
        members[count++] = weft_keep(member);
    weft_value frozen = weft_frozenset(members, count);
    for (size_t i = 0; weft_is_error(frozen) && i < count; i++)
        weft_drop(members[i]);
    wefti_release(members);
    return frozen;
}

/* A set's members as a frozenset, in its place: an operator's result is of its left side's type. Takes `set`. */
static weft_value set_as_frozen(struct wefti_call *call, weft_value set, weft_value *error)
{
    weft_value frozen = set_frozen(set);
    weft_drop(set);
    if (weft_is_error(frozen))
        *error = wefti_raise_memory(call);
    return frozen;
}

/* One argument more; takes `set`, and returns what comes of it, or *error. */
static weft_value set_with(struct wefti_call *call, const struct verb *verb, weft_value set, weft_value given, weft_value *error)
{
    weft_value other = set_given(call, given, verb->sign, error), made = weft_none;
    if (!wefti_raised(call))
        made = set_combined(call, verb->turned ? other : set, verb->turned ? set : other, verb->sense, error);
    if (!wefti_raised(call) && verb->turned && other.kind == WEFT_FROZENSET)
        made = set_as_frozen(call, made, error);
    weft_drop(other);
    weft_drop(set);
    return made;
}

/* How many others it takes: an operator and symmetric_difference one, the rest any number. */
static bool arguments_fit(struct wefti_call *call, const struct verb *verb, weft_value *error)
{
    size_t count = weft_length(call->arguments);
    if (weft_length(call->keywords) > 0)
        *error = wefti_raise_text(call, "TypeError", "set.%s() takes no keyword arguments", call->name);
    else if ((verb->sign || verb->sense == XOR) && count != 1)
        *error = wefti_raise_text(call, "TypeError", "set.%s() takes exactly one argument (%zu given)", call->name, count);
    return !wefti_raised(call);
}

static weft_value set_copy(struct wefti_call *call)
{
    weft_value copy = weft_copy(set_of(call));
    return weft_is_error(copy) ? wefti_raise_memory(call) : copy;
}

/* In-place operators answer with the set, as Python's server does, the other methods that change it with nothing. */
static weft_value set_verb(struct wefti_call *call)
{
    const struct verb *verb = verb_of(call);
    weft_value error, result;
    if (!arguments_fit(call, verb, &error))
        return error;
    result = set_copy(call);
    if (wefti_raised(call))
        return result;
    for (size_t i = 0; !wefti_raised(call) && i < weft_length(call->arguments); i++)
        result = set_with(call, verb, result, weft_list_at(call->arguments, (ptrdiff_t)i), &error);
    if (wefti_raised(call))
        return weft_drop(result), error;
    if (!verb->stays)
        return result;
    set_replace(call, result);
    return verb->sign ? set_copy(call) : weft_none;
}

/* The verbs that compare, in the order of their names. */
enum relation { SUBSET, SUPERSET, DISJOINT };
struct test {
    const char *name, *sign;
    enum relation relation;
    bool less; /* and not equal */
};
static const struct test tests[] = {
    {"__ge__", ">=", SUPERSET, false},
    {"__gt__", ">", SUPERSET, true},
    {"__le__", "<=", SUBSET, false},
    {"__lt__", "<", SUBSET, true},
    {"isdisjoint", NULL, DISJOINT, false},
    {"issubset", NULL, SUBSET, false},
    {"issuperset", NULL, SUPERSET, false},
};

/* How many of the one are in the other; -1, *error. */
static ptrdiff_t set_common(struct wefti_call *call, weft_value a, weft_value b, weft_value *error)
{
    weft_value item;
    size_t at = 0, work = 0;
    ptrdiff_t common = 0;
    while (weft_set_next(a, &at, &item)) {
        int has = item_usable(&work, item) ? weft_set_has(b, item) : -1;
        if (has < 0) {
            *error = wefti_raise_unhashable(call, weft_none);
            return -1;
        }
        common += has;
    }
    return common;
}

static weft_value set_test(struct wefti_call *call)
{
    const struct test *test = tests;
    while (strcmp(test->name, call->name) != 0)
        test++;
    weft_value error, set = set_of(call), other = set_given(call, call->bound[0], test->sign, &error);
    size_t mine = weft_length(set), theirs = wefti_raised(call) ? 0 : weft_length(other);
    ptrdiff_t common = wefti_raised(call) ? -1 : set_common(call, set, other, &error);
    weft_drop(other);
    if (wefti_raised(call))
        return error;
    if (test->relation == DISJOINT)
        return weft_bool(common == 0);
    return weft_bool((size_t)common == (test->relation == SUBSET ? mine : theirs) && !(test->less && mine == theirs));
}

/* What is looked for: a set, which cannot lie in another, stands for the frozenset of its members, as in Python. Yours; an error with
 * errno. */
static weft_value set_sought(struct wefti_call *call)
{
    weft_value given = call->bound[0];
    size_t work = 0;
    if (!item_usable(&work, given))
        return weft_error(errno, NULL);
    return given.kind == WEFT_SET ? set_frozen(given) : weft_keep(given);
}

/* 0 when it was there, and is gone; -1 with errno. */
static int set_take_sought(struct wefti_call *call)
{
    weft_value sought = set_sought(call);
    int result = weft_is_error(sought) && !weft_is_error(call->bound[0]) ? -1 : weft_set_take(set_of(call), sought), error = errno;
    weft_drop(sought);
    errno = error;
    return result;
}

static weft_value set_add(struct wefti_call *call)
{
    size_t work = 0;
    return set_store(set_of(call), call->bound[0], &work) ? weft_none : wefti_raise_unhashable(call, call->bound[0]);
}

static weft_value set_contains(struct wefti_call *call)
{
    weft_value sought = set_sought(call);
    int has = weft_is_error(sought) && !weft_is_error(call->bound[0]) ? -1 : weft_set_has(set_of(call), sought), error = errno;
    weft_drop(sought);
    errno = error;
    return has < 0 ? wefti_raise_unhashable(call, call->bound[0]) : weft_bool(has);
}

static weft_value set_discard(struct wefti_call *call)
{
    if (set_take_sought(call) == 0 || errno == ENOENT)
        return weft_none;
    return wefti_raise_unhashable(call, call->bound[0]);
}

static weft_value set_remove(struct wefti_call *call)
{
    if (set_take_sought(call) == 0)
        return weft_none;
    return errno == ENOENT ? wefti_raise(call, "KeyError", call->bound, 1) : wefti_raise_unhashable(call, call->bound[0]);
}

/* Python's sets have no order: the one that came last is as good as any, and found at once. */
static weft_value set_pop(struct wefti_call *call)
{
    weft_value item, nothing;
    if (wefti_dict_pop_last(set_of(call), &item, &nothing) == 0)
        return item;
    return errno == ENOENT ? wefti_raise_text(call, "KeyError", "pop from an empty set") : wefti_raise_memory(call);
}

static weft_value set_clear(struct wefti_call *call)
{
    weft_value fresh = weft_set();
    if (weft_is_error(fresh))
        return wefti_raise_memory(call);
    set_replace(call, fresh);
    return weft_none;
}

static weft_value set_len(struct wefti_call *call)
{
    return weft_int((int64_t)weft_length(set_of(call)));
}

/* By value, as Python's server has it: iter([...]). */
static weft_value set_iter(struct wefti_call *call)
{
    weft_value list = wefti_items_of(call, set_of(call));
    if (wefti_raised(call))
        return list;
    weft_value tuple = weft_tuple(&list, 1), made = weft_is_error(tuple) ? tuple : weft_object("iter", tuple, weft_none);
    if (weft_is_error(made))
        weft_drop(weft_is_error(tuple) ? list : tuple);
    return weft_is_error(made) ? wefti_raise_memory(call) : made;
}

/* A set of what was given: of a frozenset, which a copy would stay, its members. */
static weft_value set_begun(weft_value given)
{
    if (given.kind != WEFT_FROZENSET)
        return weft_copy(given);
    weft_value set = weft_set();
    size_t work = 0;
    if (weft_is_error(set) || set_add_those(set, given, set, false, &work))
        return set;
    weft_drop(set);
    return weft_error(errno, NULL);
}

static weft_value set_construct(struct wefti_call *call)
{
    bool given = call->bound[0].kind != WEFTI_ABSENT;
    weft_value error = weft_none, set = given ? set_given(call, call->bound[0], NULL, &error) : weft_set();
    weft_value *held = wefti_alloc(sizeof(*held));
    if (held && !wefti_raised(call) && !weft_is_error(*held = given ? set_begun(set) : weft_keep(set))) {
        call->object->state = held;
        weft_drop(set);
        return weft_none;
    }
    wefti_release(held);
    weft_drop(set);
    return wefti_raised(call) ? error : wefti_raise_memory(call);
}

static void set_destroy(struct wefti_managed *object)
{
    if (!object->state)
        return;
    weft_drop(*set_held(object));
    wefti_release(object->state);
}

static weft_value set_value(struct wefti_managed *object)
{
    return weft_copy(*set_held(object));
}

static const struct wefti_method set_methods[] = {
    {.name = "__and__", .function = set_verb, .raw = true},
    {.name = "__contains__", .function = set_contains, .parameters = {"key"}, .required = 1},
    {.name = "__ge__", .function = set_test, .parameters = {"other"}, .required = 1},
    {.name = "__gt__", .function = set_test, .parameters = {"other"}, .required = 1},
    {.name = "__iand__", .function = set_verb, .raw = true},
    {.name = "__ior__", .function = set_verb, .raw = true},
    {.name = "__isub__", .function = set_verb, .raw = true},
    {.name = "__iter__", .function = set_iter},
    {.name = "__ixor__", .function = set_verb, .raw = true},
    {.name = "__le__", .function = set_test, .parameters = {"other"}, .required = 1},
    {.name = "__len__", .function = set_len},
    {.name = "__lt__", .function = set_test, .parameters = {"other"}, .required = 1},
    {.name = "__or__", .function = set_verb, .raw = true},
    {.name = "__rand__", .function = set_verb, .raw = true},
    {.name = "__ror__", .function = set_verb, .raw = true},
    {.name = "__rsub__", .function = set_verb, .raw = true},
    {.name = "__rxor__", .function = set_verb, .raw = true},
    {.name = "__sub__", .function = set_verb, .raw = true},
    {.name = "__xor__", .function = set_verb, .raw = true},
    {.name = "add", .function = set_add, .parameters = {"item"}, .required = 1},
    {.name = "clear", .function = set_clear},
    {.name = "copy", .function = set_copy},
    {.name = "difference", .function = set_verb, .raw = true},
    {.name = "difference_update", .function = set_verb, .raw = true},
    {.name = "discard", .function = set_discard, .parameters = {"item"}, .required = 1},
    {.name = "intersection", .function = set_verb, .raw = true},
    {.name = "intersection_update", .function = set_verb, .raw = true},
    {.name = "isdisjoint", .function = set_test, .parameters = {"other"}, .required = 1},
    {.name = "issubset", .function = set_test, .parameters = {"other"}, .required = 1},
    {.name = "issuperset", .function = set_test, .parameters = {"other"}, .required = 1},
    {.name = "pop", .function = set_pop},
    {.name = "remove", .function = set_remove, .parameters = {"item"}, .required = 1},
    {.name = "symmetric_difference", .function = set_verb, .raw = true},
    {.name = "symmetric_difference_update", .function = set_verb, .raw = true},
    {.name = "union", .function = set_verb, .raw = true},
    {.name = "update", .function = set_verb, .raw = true},
};

const struct wefti_managed_type wefti_type_set = {"set", set_methods, sizeof(set_methods) / sizeof(*set_methods), set_construct,
    .parameters = {"iterable"}, .destroy = set_destroy, .value = set_value, .repr = set_value};
