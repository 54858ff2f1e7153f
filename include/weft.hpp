/* SPDX-License-Identifier: MIT */
/*
 * Weft for C++17 and later: #include <weft.hpp>. A thin layer over the plain forms of <weft.h>, all of it in this file.
 *
 * What the standard library has too is named as there, so that in much code std:: becomes weft:: and nothing else changes: mutex,
 * recursive_mutex, shared_mutex, condition_variable, barrier, once_flag work with std::lock_guard, std::unique_lock, std::shared_lock,
 * std::scoped_lock, and wait in whatever kind of task they are used. A task is what std::jthread is: its destructor cancels it and waits
 * for its end.
 *
 * Errors. What fails throws weft::error, a std::system_error whose code is the errno number. An exception that leaves a task's function
 * becomes an error value: its text is what(), its code that of a std::system_error (ENOMEM of std::bad_alloc, EINVAL of any other). get()
 * throws it as a weft::error, in whichever task asks. A wait that runs out of time says so by what it returns; one that is cancelled throws
 * ECANCELED, so that a cancelled task unwinds. Taking a mutex is not ended by cancellation: what std::lock_guard is not made for.
 *
 * Deadlines are durations (weft::queue::get(100ms)), points of std::chrono::steady_clock, or a weft_time.
 *
 * Results. What a function returns travels as a value when it is a weft::value, bool, number or std::string, and can then be asked for
 * again; of any other type, one that can only be moved too, the first get() moves it out.
 */
#ifndef WEFT_HPP
#define WEFT_HPP

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft.h>

namespace weft
{

/* Until when to wait. A duration begins when it becomes a deadline; what is not more than zero tries once. */
class deadline
{
    weft_time at_;

    /* No overflow, whatever the units: what lies beyond the clock is forever. */
    template <class Rep, class Period> static constexpr weft_time nanoseconds(std::chrono::duration<Rep, Period> duration, weft_time from)
    {
        using exact = std::chrono::duration<long double, std::nano>;
        const long double count = std::chrono::duration_cast<exact>(duration).count();
        if (!(count > 0))
            return WEFT_NOW;
        if (count >= static_cast<long double>(WEFT_FOREVER - from))
            return WEFT_FOREVER;
        return from + std::chrono::duration_cast<std::chrono::duration<weft_time, std::nano>>(duration).count();
    }

  public:
    constexpr deadline(weft_time at) noexcept : at_(at)
    {
    }
    template <class Rep, class Period> deadline(std::chrono::duration<Rep, Period> duration) : at_(nanoseconds(duration, weft_clock()))
    {
    }
    /* Linux's steady_clock is the clock that weft_time counts. */
    template <class Duration>
    deadline(std::chrono::time_point<std::chrono::steady_clock, Duration> point) : at_(nanoseconds(point.time_since_epoch(), 0))
    {
    }
    template <class Clock, class Duration>
    deadline(std::chrono::time_point<Clock, Duration> point) : deadline(std::chrono::duration<double>(point - Clock::now()))
    {
    }
    constexpr operator weft_time() const noexcept
    {
        return at_;
    }
};

inline constexpr weft_time now = WEFT_NOW;
inline constexpr weft_time forever = WEFT_FOREVER;

/* What failed: code().value() is an errno number, what() the text alone. */
class error : public std::system_error
{
    std::runtime_error text_; /* it can be copied without throwing */

  public:
    error(int code, const std::string &text) : std::system_error(code, std::generic_category()), text_(text)
    {
    }
    explicit error(int code) : error(code, weft_error_text(weft_error(code, nullptr)))
    {
    }
    const char *what() const noexcept override
    {
        return text_.what();
    }
};

/* Waits inside the scope are not ended by cancellation of the task. */
class shield
{
    weft_shield_scope scope_ = weft_shield_begin();

  public:
    shield() = default;
    shield(const shield &) = delete;
    shield &operator=(const shield &) = delete;
    ~shield()
    {
        weft_shield_end(&scope_);
    }
};

namespace detail
{

/* For calls that return -1 and errno. */
inline void check(int result)
{
    if (result < 0)
        throw error(errno);
}

/* For calls that wait: false when the time ran out. */
inline bool in_time(int result)
{
    if (result >= 0)
        return true;
    if (errno != EAGAIN && errno != ETIMEDOUT)
        throw error(errno);
    return false;
}

template <class T> T *made(T *pointer)
{
    if (!pointer)
        throw error(errno);
    return pointer;
}

template <class T> constexpr bool is_number_of()
{
    if constexpr (std::is_integral_v<T>)
        return std::is_signed_v<T> || std::is_same_v<T, bool> || sizeof(T) < sizeof(std::int64_t);
    else
        return std::is_same_v<T, float> || std::is_same_v<T, double>;
}
/* What a value holds exactly. */
template <class T> inline constexpr bool is_number = is_number_of<T>();

} // namespace detail

/* A value, which is dropped at its end; copying it is one more hold. */
class value
{
    weft_value held_ = weft_none;

    /* What the constructors of values give: an error where memory is out. */
    static weft_value whole(weft_value given)
    {
        if (weft_is_error(given))
            throw error(weft_error_code(given));
        return given;
    }

    /* What a reader gives, which sets errno where it has the wrong kind. */
    template <class Reader> auto read(Reader reader) const
    {
        const int before = errno;
        errno = 0;
        auto got = reader(held_);
        if (errno != 0)
            throw error(errno);
        errno = before;
        return got;
    }

  public:
    value() noexcept = default;
    value(std::nullptr_t) noexcept
    {
    }
    template <class T, std::enable_if_t<detail::is_number<T>, int> = 0> value(T number) noexcept
    {
        if constexpr (std::is_same_v<T, bool>)
            held_ = weft_bool(number);
        else if constexpr (std::is_integral_v<T>)
            held_ = weft_int(static_cast<std::int64_t>(number));
        else
            held_ = weft_float(static_cast<double>(number));
    }
    value(std::string_view text) : held_(whole(weft_str_n(text.data() ? text.data() : "", text.size())))
    {
    }
    value(const char *text) : held_(whole(weft_str(text)))
    {
    }
    value(const std::string &text) : value(std::string_view(text))
    {
    }
    value(const value &other) noexcept : held_(weft_keep(other.held_))
    {
    }
    value(value &&other) noexcept : held_(std::exchange(other.held_, weft_none))
    {
    }
    value &operator=(value other) noexcept
    {
        std::swap(held_, other.held_);
        return *this;
    }
    ~value()
    {
        weft_drop(held_);
    }

    /* Takes over a value that a plain call gave; one more hold on a value that is somebody else's. */
    static value adopt(weft_value given) noexcept
    {
        value made;
        made.held_ = given;
        return made;
    }
    static value keep(weft_value borrowed) noexcept
    {
        return adopt(weft_keep(borrowed));
    }
    static value pointer(void *given) noexcept
    {
        return adopt(weft_ptr(given));
    }
    static value bytes(std::string_view octets)
    {
        return adopt(whole(weft_bytes(octets.data() ? octets.data() : "", octets.size())));
    }
    static value list(std::initializer_list<value> items = {})
    {
        value made = adopt(whole(weft_list()));
        for (const value &item : items)
            made.append(item);
        return made;
    }
    static value dict(std::initializer_list<std::pair<value, value>> items = {})
    {
        value made = adopt(whole(weft_dict()));
        for (const auto &[key, item] : items)
            made.set(key, item);
        return made;
    }
    /* What a task returns to say that it failed; returning it and throwing weft::error come to the same. */
    static value failure(int code, const std::string &text) noexcept
    {
        return adopt(weft_error(code, "%s", text.c_str()));
    }

    /* Borrowed; and given away, for a plain call that takes it. */
    weft_value get() const noexcept
    {
        return held_;
    }
    weft_value release() noexcept
    {
        return std::exchange(held_, weft_none);
    }
    /* Where a plain call takes it from, if it does: then release() it. */
    weft_value *here() noexcept
    {
        return &held_;
    }
    /* Where a plain call may write a value that is then this one's; what was held is dropped. */
    weft_value *place() noexcept
    {
        *this = value();
        return &held_;
    }

    weft_value_kind kind() const noexcept
    {
        return weft_kind(held_);
    }
    bool is_none() const noexcept
    {
        return weft_is_none(held_);
    }
    bool is_error() const noexcept
    {
        return weft_is_error(held_);
    }

    /* Readers: EINVAL for another kind. The view lasts as long as somebody holds the value. */
    std::int64_t as_int() const
    {
        return read([](weft_value v) { return weft_as_int(v); });
    }
    double as_float() const
    {
        return read([](weft_value v) { return weft_as_float(v); });
    }
    bool as_bool() const noexcept
    {
        return weft_as_bool(held_);
    }
    void *as_pointer() const
    {
        return read([](weft_value v) { return weft_as_ptr(v); });
    }
    std::string_view as_str() const
    {
        return {read([](weft_value v) { return weft_as_str(v); }), weft_length(held_)};
    }
    std::string_view as_bytes() const
    {
        return {static_cast<const char *>(read([](weft_value v) { return weft_as_bytes(v); })), weft_length(held_)};
    }
    /* As T: value, bool, a number (ERANGE where it does not fit) or std::string. */
    template <class T> T as() const
    {
        if constexpr (std::is_same_v<T, value>) {
            return *this;
        } else if constexpr (std::is_same_v<T, bool>) {
            return as_bool();
        } else if constexpr (std::is_floating_point_v<T>) {
            return static_cast<T>(as_float());
        } else if constexpr (std::is_same_v<T, std::string>) {
            return std::string(as_str());
        } else {
            static_assert(std::is_integral_v<T>, "weft::value::as knows value, bool, numbers and std::string");
            const std::int64_t number = as_int();
            const bool fits = std::is_unsigned_v<T> ? number >= 0 && static_cast<std::uint64_t>(number) <= std::numeric_limits<T>::max()
                                                    : static_cast<std::int64_t>(static_cast<T>(number)) == number;
            if (!fits)
                throw error(ERANGE);
            return static_cast<T>(number);
        }
    }

    /* Octets of a str or bytes, items of a list, tuple or dict. */
    std::size_t size() const
    {
        return read([](weft_value v) { return weft_length(v); });
    }
    /* An item of a list or tuple (ERANGE), negative places from the end; of a dict (ENOENT). */
    value at(std::ptrdiff_t index) const
    {
        if (kind() == WEFT_DICT)
            return at(value(static_cast<std::int64_t>(index)));
        return keep(read([index](weft_value v) { return weft_list_at(v, index); }));
    }
    value at(const value &key) const
    {
        weft_value item;
        detail::check(weft_dict_get(held_, key.held_, &item));
        return keep(item);
    }
    bool contains(const value &key) const
    {
        const int result = weft_dict_get(held_, key.held_, nullptr);
        if (result != 0 && errno != ENOENT)
            throw error(errno);
        return result == 0;
    }
    /* Changes, as weft_list_append and weft_dict_set: EBUSY while somebody else holds it. */
    void append(value item)
    {
        detail::check(weft_list_append(held_, item.held_));
        item.release();
    }
    void set(value key, value item)
    {
        detail::check(weft_dict_set(held_, key.held_, item.held_));
        key.release();
        item.release();
    }

    /* As Python would print it. */
    std::string repr() const
    {
        std::string text(weft_repr(held_, nullptr, 0), '\0');
        weft_repr(held_, text.data(), text.size() + 1);
        return text;
    }
    friend bool operator==(const value &a, const value &b) noexcept
    {
        return weft_equal(a.held_, b.held_);
    }
    friend bool operator!=(const value &a, const value &b) noexcept
    {
        return !(a == b);
    }
    friend std::ostream &operator<<(std::ostream &stream, const value &shown)
    {
        return stream << shown.repr();
    }

    /* An error value as what it says, any other as it is. */
    static value unless_error(value given)
    {
        if (given.is_error())
            throw error(weft_error_code(given.held_), weft_error_text(given.held_));
        return given;
    }
};

namespace detail
{

/* The errno number that a code stands for. */
inline int errno_of(const std::error_code &code) noexcept
{
    if (code.category() == std::generic_category() || code.category() == std::system_category())
        return code.value();
    const std::error_condition condition = code.default_error_condition();
    return condition.category() == std::generic_category() ? condition.value() : EINVAL;
}

/* The exception that is being handled, as an error value. */
inline weft_value caught() noexcept
{
    try {
        throw;
    } catch (const std::system_error &thrown) {
        return weft_error(errno_of(thrown.code()), "%s", thrown.what());
    } catch (const std::bad_alloc &) {
        return weft_error(ENOMEM, nullptr);
    } catch (const std::exception &thrown) {
        return weft_error(EINVAL, "%s", thrown.what());
    } catch (...) {
        return weft_error(EINVAL, "an exception that is no std::exception");
    }
}

template <class R>
inline constexpr bool travels = std::is_void_v<R> || is_number<R> || std::is_same_v<R, value> || std::is_same_v<R, std::string>;

/* What callers get of a function: no references, and a weft::value of a weft_value. */
template <class F> struct returned {
    using raw = std::decay_t<std::invoke_result_t<F &>>;
    using type = std::conditional_t<std::is_same_v<raw, weft_value>, value, raw>;
};
template <class F> using result_of = typename returned<std::decay_t<F>>::type;

/* Where a result is kept: in the value that the task returns, or beside it. */
template <class R, bool = travels<R>> class place
{
  public:
    template <class F> weft_value fill(F &function)
    {
        if constexpr (std::is_void_v<R>) {
            std::invoke(function);
            return weft_none;
        } else if constexpr (std::is_same_v<std::decay_t<decltype(std::invoke(function))>, weft_value>) {
            return std::invoke(function);
        } else {
            return value(std::invoke(function)).release();
        }
    }
    R take(const value &given) const
    {
        if constexpr (!std::is_void_v<R>)
            return given.as<R>();
    }
};
template <class R> class place<R, false>
{
    std::shared_ptr<std::optional<R>> kept_;

  public:
    place() = default;
    explicit place(std::nullptr_t) : kept_(std::make_shared<std::optional<R>>())
    {
    }
    template <class F> weft_value fill(F &function)
    {
        kept_->emplace(std::invoke(function));
        return weft_none;
    }
    R take(const value &) const
    {
        return std::move(kept_->value());
    }
};
template <class R> place<R> place_make()
{
    if constexpr (travels<R>)
        return place<R>();
    else
        return place<R>(nullptr);
}

/* A callable on its way to where it runs. What it has captured goes as soon as it has been called. */
template <class F> class call
{
    std::optional<F> function_;
    place<result_of<F>> place_;

    weft_value run() noexcept
    {
        weft_value result;
        try {
            result = place_.fill(*function_);
        } catch (...) {
            result = caught();
        }
        function_.reset();
        return result;
    }

  public:
    template <class G> call(G &&function, place<result_of<F>> place) : function_(std::forward<G>(function)), place_(std::move(place))
    {
    }
    /* For a task, which always runs it. */
    static weft_value run_last(weft_value argument) noexcept
    {
        std::unique_ptr<call> self(static_cast<call *>(weft_as_ptr(argument)));
        return self->run();
    }
    /* For a future, which may be cancelled before: its end comes in any case, and once. */
    static weft_value run_once(weft_value argument) noexcept
    {
        return static_cast<call *>(weft_as_ptr(argument))->run();
    }
    static int ended(weft_future *, void *data) noexcept
    {
        delete static_cast<call *>(data);
        return 0;
    }
};

} // namespace detail

/* The options of weft_spawn, by name (C++20: weft::spawn(f, {.name = "reader"})). */
struct spawn_options {
    weft_task_kind kind = WEFT_THREAD;
    const char *name = nullptr;
    bool daemon = false;
    std::size_t stack_size = 0;
    const char *cpus = nullptr;
    int nice = 0;
};

/* A task that was spawned; R is what its function returns. */
template <class R = value> class task
{
    weft_task *handle_ = nullptr;
    detail::place<R> place_;

  public:
    task() noexcept = default;
    task(weft_task *handle, detail::place<R> place) noexcept : handle_(handle), place_(std::move(place))
    {
    }
    task(task &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)), place_(std::move(other.place_))
    {
    }
    task &operator=(task &&other) noexcept
    {
        task ended(std::move(*this));
        handle_ = std::exchange(other.handle_, nullptr);
        place_ = std::move(other.place_);
        return *this;
    }
    /* Cancels it and waits for its end. */
    ~task()
    {
        if (!handle_)
            return;
        weft_task_cancel(handle_);
        {
            shield uncancelled;
            weft_task_join(handle_, WEFT_FOREVER); /* fails only in the task itself */
        }
        weft_task_free(handle_);
    }

    /* True when it has ended, false when the time ran out. */
    bool wait(deadline until = WEFT_FOREVER) const
    {
        return detail::in_time(weft_task_join(handle_, until));
    }
    void join() const
    {
        detail::check(weft_task_join(handle_, WEFT_FOREVER));
    }
    bool joinable() const noexcept
    {
        return handle_ != nullptr;
    }
    /* What the function returned; throws what it threw, and ETIMEDOUT or EAGAIN when the time ran out. */
    R get(deadline until = WEFT_FOREVER) const
    {
        weft_value given;
        detail::check(weft_task_result(handle_, &given, until));
        return place_.take(value::unless_error(value::adopt(given)));
    }
    weft_outcome outcome() const noexcept
    {
        return weft_task_outcome(handle_);
    }
    bool is_alive() const noexcept
    {
        return weft_task_is_alive(handle_);
    }
    void cancel() const noexcept
    {
        weft_task_cancel(handle_);
    }
    std::string name() const
    {
        return weft_task_name(handle_);
    }
    /* Lets it go on by itself. */
    void detach() noexcept
    {
        weft_task_free(std::exchange(handle_, nullptr));
    }
    /* For plain calls; borrowed. */
    weft_task *handle() const noexcept
    {
        return handle_;
    }
};

namespace detail
{

/* A callable is an object of this process; processes take plain functions and values (weft_spawn, weft_pool_new). */
inline weft_task_kind kind_of_callables(weft_task_kind kind)
{
    if (kind != WEFT_THREAD && kind != WEFT_COROUTINE)
        throw error(ENOTSUP, "callables run in this process: as threads or coroutines");
    return kind;
}

template <class Call> weft_spawn_options spawning(const spawn_options &chosen, Call *going)
{
    weft_spawn_options options{};
    options.size = sizeof(options);
    options.kind = kind_of_callables(chosen.kind);
    options.function = Call::run_last;
    options.argument = weft_ptr(going);
    options.name = chosen.name;
    options.daemon = chosen.daemon;
    options.stack_size = chosen.stack_size;
    options.cpus = chosen.cpus;
    options.nice = chosen.nice;
    return options;
}

} // namespace detail

/* Runs a callable, which may be one that can only be moved, as a task. */
template <class F, class R = detail::result_of<F>> [[nodiscard]] task<R> spawn(F &&function, const spawn_options &chosen = {})
{
    auto place = detail::place_make<R>();
    auto going = std::make_unique<detail::call<std::decay_t<F>>>(std::forward<F>(function), place);
    const weft_spawn_options options = detail::spawning(chosen, going.get());
    weft_task *handle = detail::made(weft_spawn_with(&options));
    going.release();
    return task<R>(handle, std::move(place));
}

/*
 * Tasks that end together. The first exception that leaves a member cancels the others; join() throws it. The destructor waits for all:
 * leaving by an exception of one's own cancels them first.
 */
class group
{
    weft_group *handle_ = detail::made(weft_group_new());
    int thrown_ = std::uncaught_exceptions();

  public:
    group() = default;
    group(const group &) = delete;
    group &operator=(const group &) = delete;
    ~group()
    {
        if (std::uncaught_exceptions() > thrown_)
            weft_group_cancel(handle_);
        weft_group_free(handle_);
    }

    /* ECANCELED when it was cancelled, or a member has failed; ESHUTDOWN when it is being left. */
    template <class F> void spawn(F &&function, const spawn_options &chosen = {})
    {
        using R = detail::result_of<F>;
        auto going = std::make_unique<detail::call<std::decay_t<F>>>(std::forward<F>(function), detail::place_make<R>());
        const weft_spawn_options options = detail::spawning(chosen, going.get());
        detail::check(weft_group_spawn_with(handle_, &options, nullptr));
        going.release();
    }
    /*
     * Waits until all members have ended: true; throws the first that a member threw. False when the time ran out: then they were cancelled
     * and have ended since (with weft::now, nothing has changed).
     */
    bool join(deadline until = WEFT_FOREVER)
    {
        value first;
        const int failed = weft_group_join(handle_, first.place(), until);
        if (failed > 0)
            value::unless_error(std::move(first));
        return detail::in_time(failed);
    }
    void cancel() noexcept
    {
        weft_group_cancel(handle_);
    }
    /* What members threw or returned as errors, as values, in the order in which it came. */
    std::vector<value> errors() const
    {
        std::vector<weft_value> plain(weft_group_errors(handle_, nullptr, 0), weft_none);
        std::vector<value> all(plain.size()); /* before there is anything to drop */
        weft_group_errors(handle_, plain.data(), plain.size());
        for (std::size_t i = 0; i < plain.size(); i++)
            all[i] = value::adopt(plain[i]);
        return all;
    }
    std::size_t alive() const noexcept
    {
        return weft_group_alive(handle_);
    }
    weft_group *handle() const noexcept
    {
        return handle_;
    }
};

/* The result that a pool's task will have. Letting it go lets the task go on. */
template <class R = value> class future
{
    weft_future *handle_ = nullptr;
    detail::place<R> place_;

  public:
    future() noexcept = default;
    future(weft_future *handle, detail::place<R> place) noexcept : handle_(handle), place_(std::move(place))
    {
    }
    future(future &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)), place_(std::move(other.place_))
    {
    }
    future &operator=(future &&other) noexcept
    {
        std::swap(handle_, other.handle_);
        std::swap(place_, other.place_);
        return *this;
    }
    ~future()
    {
        weft_future_free(handle_);
    }

    bool valid() const noexcept
    {
        return handle_ != nullptr;
    }
    /* What the function returned; throws what it threw, and ETIMEDOUT or EAGAIN when the time ran out. */
    R get(deadline until = WEFT_FOREVER) const
    {
        weft_value given;
        detail::check(weft_future_result(handle_, &given, until));
        return place_.take(value::unless_error(value::adopt(given)));
    }
    /* True when it has ended, false when the time ran out. */
    bool wait(deadline until = WEFT_FOREVER) const
    {
        return detail::in_time(weft_future_result(handle_, nullptr, until));
    }
    bool done() const noexcept
    {
        return weft_future_done(handle_);
    }
    weft_outcome outcome() const noexcept
    {
        return weft_future_outcome(handle_);
    }
    bool cancel() const noexcept
    {
        return weft_future_cancel(handle_);
    }
    weft_future *handle() const noexcept
    {
        return handle_;
    }
};

/* The options of weft_pool_new, by name. */
struct pool_options {
    weft_task_kind kind = WEFT_THREAD;
    unsigned workers = 0;
    std::size_t backlog = 0;
    weft_full_policy when_full = WEFT_FULL_WAIT;
    const char *name = nullptr;
    std::size_t stack_size = 0;
    const char *cpus = nullptr;
    int nice = 0;
};

/* A pool. Its destructor waits for what was submitted. */
class pool
{
    weft_pool *handle_;

    template <class F> static weft_submit_options submission(weft_pool *pool, detail::call<F> *going, deadline until)
    {
        weft_submit_options options{};
        options.size = sizeof(options);
        options.pool = pool;
        options.function = detail::call<F>::run_once;
        options.argument = weft_ptr(going);
        options.on_done = detail::call<F>::ended;
        options.data = going;
        options.deadline = until <= WEFT_NOW ? 1 : static_cast<weft_time>(until); /* 0 would be forever; 1 has passed long ago */
        return options;
    }

  public:
    explicit pool(const pool_options &chosen = {})
    {
        weft_pool_options options{};
        options.size = sizeof(options);
        options.kind = detail::kind_of_callables(chosen.kind);
        options.workers = chosen.workers;
        options.backlog = chosen.backlog;
        options.when_full = chosen.when_full;
        options.name = chosen.name;
        options.stack_size = chosen.stack_size;
        options.cpus = chosen.cpus;
        options.nice = chosen.nice;
        handle_ = detail::made(weft_pool_new_with(&options));
    }
    explicit pool(unsigned workers) : pool(pool_options{WEFT_THREAD, workers})
    {
    }
    /* Takes over what a plain call has made, with every option that there is; throws its errno for NULL. */
    explicit pool(weft_pool *made) : handle_(detail::made(made))
    {
    }
    pool(pool &&other) noexcept : handle_(std::exchange(other.handle_, nullptr))
    {
    }
    pool &operator=(pool &&other) noexcept
    {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~pool()
    {
        weft_pool_free(handle_);
    }

    /* Hands a callable to the pool; `until` is how long to wait for room. */
    template <class F, class R = detail::result_of<F>> [[nodiscard]] future<R> submit(F &&function, deadline until = WEFT_FOREVER)
    {
        using call = detail::call<std::decay_t<F>>;
        auto place = detail::place_make<R>();
        auto going = std::make_unique<call>(std::forward<F>(function), place);
        const weft_submit_options options = submission(handle_, going.get(), until);
        weft_future *handle = detail::made(weft_pool_submit_with(&options));
        going.release();
        return future<R>(handle, std::move(place));
    }
    /* The same without a future. An exception goes to the hook of weft_on_uncollected. */
    template <class F, class R = detail::result_of<F>> void start(F &&function, deadline until = WEFT_FOREVER)
    {
        using call = detail::call<std::decay_t<F>>;
        auto going = std::make_unique<call>(std::forward<F>(function), detail::place_make<R>());
        const weft_submit_options options = submission(handle_, going.get(), until);
        detail::check(weft_pool_start_with(&options));
        going.release();
    }
    /* True when all has ended, false when the time ran out; it may be repeated then. */
    bool shutdown(bool cancel_pending = false, deadline until = WEFT_FOREVER)
    {
        return detail::in_time(weft_pool_shutdown(handle_, cancel_pending, until));
    }
    bool terminate(deadline until = WEFT_FOREVER)
    {
        return detail::in_time(weft_pool_terminate(handle_, until));
    }
    weft_pool *handle() const noexcept
    {
        return handle_;
    }
};

/* The options of weft_parallel_for, by name. */
struct parallel_options {
    const weft::pool *pool = nullptr; /* null: that of the task that calls; outside of pools the program's own */
    std::size_t chunk = 0;
    unsigned workers = 0;
};

namespace detail
{

/* A loop's body; the first exception that leaves it ends the loop. */
template <class F> struct body {
    F *function;
    std::exception_ptr thrown;
    int failed;

    static int run(std::size_t first, std::size_t end, void *data) noexcept
    {
        auto *self = static_cast<body *>(data);
        try {
            std::invoke(*self->function, first, end);
            return 0;
        } catch (...) {
            if (__atomic_exchange_n(&self->failed, 1, __ATOMIC_RELAXED) == 0) /* the loop's end makes it visible to the caller */
                self->thrown = std::current_exception();
            errno = ECANCELED;
            return -1;
        }
    }
};

} // namespace detail

/*
 * Calls function(first, end) with parts of 0 to count, side by side, and comes back when all calls have. The first that throws ends the
 * loop, whose other iterations have their waits throw ECANCELED, and is thrown again here.
 */
template <class F> void parallel_ranges(std::size_t count, F &&function, const parallel_options &chosen = {})
{
    detail::body<std::remove_reference_t<F>> body{std::addressof(function), nullptr, 0};
    weft_parallel_ranges_options options{};
    options.size = sizeof(options);
    options.count = count;
    options.function = body.run;
    options.data = &body;
    options.pool = chosen.pool ? chosen.pool->handle() : nullptr;
    options.chunk = chosen.chunk;
    options.workers = chosen.workers;
    const int result = weft_parallel_ranges_with(&options);
    if (body.thrown)
        std::rethrow_exception(body.thrown);
    detail::check(result);
}
/* Calls function(0) to function(count - 1), likewise. */
template <class F> void parallel_for(std::size_t count, F &&function, const parallel_options &chosen = {})
{
    parallel_ranges(
        count,
        [&function](std::size_t first, std::size_t end) {
            for (std::size_t index = first; index < end; index++)
                std::invoke(function, index);
        },
        chosen);
}

/* A queue of values. */
class queue
{
    weft_queue *handle_;

  public:
    explicit queue(std::size_t capacity = 0)
    {
        weft_queue_options options{};
        options.size = sizeof(options);
        options.capacity = capacity;
        handle_ = detail::made(weft_queue_new_with(&options));
    }
    /* Takes over what a plain call has made, with every option that there is; throws its errno for NULL. */
    explicit queue(weft_queue *made) : handle_(detail::made(made))
    {
    }
    queue(queue &&other) noexcept : handle_(std::exchange(other.handle_, nullptr))
    {
    }
    queue &operator=(queue &&other) noexcept
    {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~queue()
    {
        weft_queue_free(handle_);
    }

    /* False when the time ran out: the item is then still the caller's. EPIPE when it is closed. */
    bool put(value &&item, deadline until = WEFT_FOREVER)
    {
        if (!detail::in_time(weft_queue_put(handle_, item.get(), until)))
            return false;
        item.release();
        return true;
    }
    bool put(const value &item, deadline until = WEFT_FOREVER)
    {
        return put(value(item), until);
    }
    /* Nothing when the time ran out, and when it is closed and empty: while (auto item = queue.get()) ... */
    std::optional<value> get(deadline until = WEFT_FOREVER)
    {
        weft_value item;
        if (weft_queue_get(handle_, &item, until) == 0)
            return value::adopt(item);
        if (errno != EPIPE && errno != EAGAIN && errno != ETIMEDOUT)
            throw error(errno);
        return std::nullopt;
    }
    void task_done()
    {
        detail::check(weft_queue_task_done(handle_));
    }
    bool join(deadline until = WEFT_FOREVER)
    {
        return detail::in_time(weft_queue_join(handle_, until));
    }
    void close() noexcept
    {
        weft_queue_close(handle_);
    }
    bool closed() const noexcept
    {
        return weft_queue_closed(handle_);
    }
    std::size_t size() const noexcept
    {
        return weft_queue_size(handle_);
    }
    bool empty() const noexcept
    {
        return weft_queue_empty(handle_);
    }
    bool full() const noexcept
    {
        return weft_queue_full(handle_);
    }
    std::size_t capacity() const noexcept
    {
        return weft_queue_capacity(handle_);
    }
    weft_queue *handle() const noexcept
    {
        return handle_;
    }
};

namespace detail
{

/* What both mutexes have; they differ in the object and its calls. */
template <class Lock, int (*acquire)(Lock *, weft_time), int (*release)(Lock *)> class lockable
{
    Lock object_{};

  public:
    constexpr lockable() noexcept = default;
    lockable(const lockable &) = delete;
    lockable &operator=(const lockable &) = delete;

    /* EDEADLK where the caller has it already and may not have it twice. */
    void lock()
    {
        shield uncancelled;
        check(acquire(&object_, WEFT_FOREVER));
    }
    bool try_lock()
    {
        shield uncancelled;
        return acquire(&object_, WEFT_NOW) >= 0;
    }
    template <class Rep, class Period> bool try_lock_for(std::chrono::duration<Rep, Period> duration)
    {
        return try_lock_until(deadline(duration));
    }
    template <class Clock, class Duration> bool try_lock_until(std::chrono::time_point<Clock, Duration> point)
    {
        return try_lock_until(deadline(point));
    }
    bool try_lock_until(deadline until)
    {
        return in_time(acquire(&object_, until));
    }
    void unlock() noexcept
    {
        release(&object_);
    }
    Lock *native_handle() noexcept
    {
        return &object_;
    }
};

} // namespace detail

/* A weft_lock; Lockable and TimedLockable. A static one needs no constructor to run. */
class mutex : public detail::lockable<weft_lock, weft_lock_acquire, weft_lock_release>
{
};

/* A weft_rlock: its owner may take it again. */
class recursive_mutex : public detail::lockable<weft_rlock, weft_rlock_acquire, weft_rlock_release>
{
};

/* A weft_rwlock; SharedLockable too. Who reads must neither read again nor write: it would wait for itself. */
class shared_mutex : public detail::lockable<weft_rwlock, weft_rwlock_acquire_write, weft_rwlock_release_write>
{
  public:
    void lock_shared()
    {
        shield uncancelled;
        detail::check(weft_rwlock_acquire_read(native_handle(), WEFT_FOREVER));
    }
    bool try_lock_shared()
    {
        shield uncancelled;
        return weft_rwlock_acquire_read(native_handle(), WEFT_NOW) == 0;
    }
    template <class Rep, class Period> bool try_lock_shared_for(std::chrono::duration<Rep, Period> duration)
    {
        return try_lock_shared_until(deadline(duration));
    }
    template <class Clock, class Duration> bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> point)
    {
        return try_lock_shared_until(deadline(point));
    }
    bool try_lock_shared_until(deadline until)
    {
        return detail::in_time(weft_rwlock_acquire_read(native_handle(), until));
    }
    void unlock_shared() noexcept
    {
        weft_rwlock_release_read(native_handle());
    }
    /* The writer reads on (and ends that with unlock_shared), and no writer comes in between. */
    void downgrade()
    {
        detail::check(weft_rwlock_downgrade(native_handle()));
    }
};

/* A weft_condition, for a std::unique_lock of a weft::mutex. Whatever a wait does, throwing included, the lock is held again after it. */
class condition_variable
{
    weft_condition object_{};

  public:
    constexpr condition_variable() noexcept = default;
    condition_variable(const condition_variable &) = delete;
    condition_variable &operator=(const condition_variable &) = delete;

    void wait(std::unique_lock<mutex> &lock)
    {
        detail::check(weft_condition_wait(&object_, lock.mutex()->native_handle(), WEFT_FOREVER));
    }
    template <class Predicate> void wait(std::unique_lock<mutex> &lock, Predicate predicate)
    {
        while (!predicate())
            wait(lock);
    }
    std::cv_status wait_until(std::unique_lock<mutex> &lock, deadline until)
    {
        const bool woken = detail::in_time(weft_condition_wait(&object_, lock.mutex()->native_handle(), until));
        return woken ? std::cv_status::no_timeout : std::cv_status::timeout;
    }
    /* False when the time ran out and the predicate still does not hold. */
    template <class Predicate> bool wait_until(std::unique_lock<mutex> &lock, deadline until, Predicate predicate)
    {
        while (!predicate())
            if (wait_until(lock, until) == std::cv_status::timeout)
                return predicate();
        return true;
    }
    std::cv_status wait_for(std::unique_lock<mutex> &lock, deadline until)
    {
        return wait_until(lock, until);
    }
    template <class Predicate> bool wait_for(std::unique_lock<mutex> &lock, deadline until, Predicate predicate)
    {
        return wait_until(lock, until, std::move(predicate));
    }
    void notify_one() noexcept
    {
        weft_condition_notify(&object_, 1);
    }
    void notify_all() noexcept
    {
        weft_condition_notify_all(&object_);
    }
};

/* A weft_semaphore, with the words of std::counting_semaphore. */
class semaphore
{
    weft_semaphore object_;

  public:
    explicit constexpr semaphore(std::uint32_t permits) noexcept : object_{{permits}, 0, 0, 0, 0}
    {
    }
    semaphore(const semaphore &) = delete;
    semaphore &operator=(const semaphore &) = delete;

    void acquire()
    {
        detail::check(weft_semaphore_acquire(&object_, WEFT_FOREVER));
    }
    bool try_acquire()
    {
        return try_acquire_until(WEFT_NOW);
    }
    bool try_acquire_for(deadline until)
    {
        return try_acquire_until(until);
    }
    bool try_acquire_until(deadline until)
    {
        return detail::in_time(weft_semaphore_acquire(&object_, until));
    }
    void release(std::uint32_t permits = 1)
    {
        detail::check(weft_semaphore_release(&object_, permits));
    }
    weft_semaphore *native_handle() noexcept
    {
        return &object_;
    }
};

/* A weft_event. */
class event
{
    weft_event object_{};

  public:
    constexpr event() noexcept = default;
    event(const event &) = delete;
    event &operator=(const event &) = delete;

    /* True when it is set, false when the time ran out. */
    bool wait(deadline until = WEFT_FOREVER)
    {
        return detail::in_time(weft_event_wait(&object_, until));
    }
    void set() noexcept
    {
        weft_event_set(&object_);
    }
    void clear() noexcept
    {
        weft_event_clear(&object_);
    }
    bool is_set() const noexcept
    {
        return weft_event_is_set(&object_);
    }
    weft_event *native_handle() noexcept
    {
        return &object_;
    }
};

/* A weft_barrier. */
class barrier
{
    weft_barrier object_{};

  public:
    explicit constexpr barrier(std::uint32_t parties) noexcept
    {
        object_.parties = parties;
    }
    barrier(const barrier &) = delete;
    barrier &operator=(const barrier &) = delete;

    /* Which of them one is; the last to come is 0. EPIPE when it is broken. */
    std::uint32_t arrive_and_wait()
    {
        const int place = weft_barrier_wait(&object_, WEFT_FOREVER);
        detail::check(place);
        return static_cast<std::uint32_t>(place);
    }
    weft_barrier *native_handle() noexcept
    {
        return &object_;
    }
};

/* For call_once. */
class once_flag
{
    weft_once object_{};

  public:
    constexpr once_flag() noexcept = default;
    once_flag(const once_flag &) = delete;
    once_flag &operator=(const once_flag &) = delete;
    weft_once *native_handle() noexcept
    {
        return &object_;
    }
};

/* Calls the callable unless it has been called with success; one that throws is called again by the next to come. */
template <class F> void call_once(once_flag &flag, F &&function)
{
    struct attempt {
        std::remove_reference_t<F> *function;
        std::exception_ptr thrown;
        static int run(void *data) noexcept
        {
            auto *self = static_cast<attempt *>(data);
            try {
                std::invoke(std::forward<F>(*self->function));
                return 0;
            } catch (...) {
                self->thrown = std::current_exception();
                errno = ECANCELED;
                return -1;
            }
        }
    } attempt{std::addressof(function), nullptr};
    const int result = weft_once_call(flag.native_handle(), attempt::run, &attempt, WEFT_FOREVER);
    if (attempt.thrown)
        std::rethrow_exception(attempt.thrown);
    detail::check(result);
}

/* A T of each task's own, made where a task first asks for it and deleted when the task ends. */
template <class T> class local
{
    weft_local key_ = WEFT_LOCAL(destroy);

    static void destroy(void *pointer) noexcept
    {
        delete static_cast<T *>(pointer);
    }

  public:
    constexpr local() noexcept = default;
    local(const local &) = delete;
    local &operator=(const local &) = delete;
    T &get()
    {
        if (void *there = weft_local_get(&key_))
            return *static_cast<T *>(there);
        auto made = std::make_unique<T>();
        detail::check(weft_local_set(&key_, made.get()));
        return *made.release();
    }
    T &operator*()
    {
        return get();
    }
    T *operator->()
    {
        return &get();
    }
};

/*
 * One of several things to wait for, made by case_...; what it names has to be there as long. Others are made of a plain weft_case:
 * {weft_case_signals(signals, &signal)}.
 */
struct select_case {
    weft_case plain{};
    value *taken = nullptr; /* it is set when this one is done */
    value *given = nullptr; /* it is given away then */
};

inline select_case case_get(const queue &from, value &taken)
{
    return {weft_case_get(from.handle(), taken.place()), &taken, nullptr};
}
inline select_case case_put(const queue &into, value &given)
{
    return {weft_case_put(into.handle(), given.here()), nullptr, &given};
}
inline select_case case_event(event &set)
{
    return {weft_case_event(set.native_handle())};
}
/* Ends of tasks and of futures; get() then has what there is. */
template <class R> select_case case_task(const task<R> &ended)
{
    return {weft_case_task(ended.handle(), nullptr)};
}
template <class R> select_case case_future(const future<R> &ended)
{
    return {weft_case_future(ended.handle(), nullptr)};
}
inline select_case case_group(const group &ended)
{
    return {weft_case_group(ended.handle())};
}
inline select_case case_descriptor(int fd, short events, short *seen = nullptr)
{
    return {weft_case_descriptor(fd, events, seen)};
}
inline select_case case_time(deadline moment)
{
    return {weft_case_time(moment)};
}

/* Which case was done. False when the time ran out. */
struct selected {
    std::size_t index = static_cast<std::size_t>(-1);
    int error = 0; /* an errno number when it never can be done: EPIPE of a closed queue */
    explicit operator bool() const noexcept
    {
        return index != static_cast<std::size_t>(-1);
    }
};

namespace detail
{

inline selected select(const select_case *cases, weft_case *plain, std::size_t count, deadline until)
{
    for (std::size_t i = 0; i < count; i++) {
        plain[i] = cases[i].plain;
        if (cases[i].taken)
            cases[i].taken->place();
    }
    const int index = weft_select(plain, count, until);
    if (!in_time(index))
        return {};
    const selected done{static_cast<std::size_t>(index), plain[index].error};
    if (cases[index].given && done.error == 0)
        cases[index].given->release();
    return done;
}

} // namespace detail

/* Waits for the first of them, and does that one and no other: weft::select(1s, weft::case_get(jobs, job), weft::case_event(stop)). */
template <class... More> selected select(deadline until, const select_case &first, const More &...more)
{
    const select_case cases[] = {first, more...};
    weft_case plain[1 + sizeof...(more)];
    return detail::select(cases, plain, 1 + sizeof...(more), until);
}
inline selected select(deadline until, const std::vector<select_case> &cases)
{
    std::vector<weft_case> plain(cases.size());
    return detail::select(cases.data(), plain.data(), cases.size(), until);
}

/* The options of weft_command_start and weft_command_run, by name, but for those that are arguments. */
struct command_options {
    bool shell = false;
    weft_redirection standard_input{}, standard_output{}, standard_error{};
    const char *directory = nullptr;
    std::vector<std::string> environment;     /* "NAME=value"; with none, and without `bare`, this process's */
    std::vector<std::string> environment_add; /* "NAME=value" put on top of it; "NAME" takes it away */
    bool bare = false;                        /* `environment` is all that there is */
    double time_limit = 0;
    int stop_signal = 0;
    double stop_grace = 0;
    bool new_session = false, new_group = false, end_with_us = false;
    int nice = 0;
    value input; /* of weft::run */
    std::size_t capture_limit = 0;
};

using command_status = weft_command_status;

/* Where a stream of a command goes. */
inline weft_redirection to_pipe() noexcept
{
    return {WEFT_PIPE, 0, nullptr, false};
}
inline weft_redirection to_null() noexcept
{
    return {WEFT_NULL, 0, nullptr, false};
}
inline weft_redirection to_file(const char *path, bool append = false) noexcept
{
    return {WEFT_FILE, 0, path, append};
}
inline weft_redirection to_descriptor(int fd) noexcept
{
    return {WEFT_FD, fd, nullptr, false};
}
inline weft_redirection merged() noexcept
{
    return {WEFT_MERGE, 0, nullptr, false};
}

namespace detail
{

/* The plain options, and the lists of pointers that they name. */
class command_plain
{
    std::vector<const char *> argv_, environment_, environment_add_;

    static const char *const *fill(std::vector<const char *> &list, const std::vector<std::string> &texts)
    {
        for (const std::string &text : texts)
            list.push_back(text.c_str());
        list.push_back(nullptr);
        return list.data();
    }

  public:
    weft_command_options options{};

    command_plain(const std::vector<std::string> &argv, const command_options &chosen)
    {
        options.size = sizeof(options);
        options.argv = fill(argv_, argv);
        options.shell = chosen.shell;
        options.standard_input = chosen.standard_input;
        options.standard_output = chosen.standard_output;
        options.standard_error = chosen.standard_error;
        options.directory = chosen.directory;
        options.environment = chosen.bare || !chosen.environment.empty() ? fill(environment_, chosen.environment) : nullptr;
        options.environment_add = chosen.environment_add.empty() ? nullptr : fill(environment_add_, chosen.environment_add);
        options.time_limit = chosen.time_limit;
        options.stop_signal = chosen.stop_signal;
        options.stop_grace = chosen.stop_grace;
        options.new_session = chosen.new_session;
        options.new_group = chosen.new_group;
        options.end_with_us = chosen.end_with_us;
        options.nice = chosen.nice;
        options.capture_limit = chosen.capture_limit;
    }
    command_plain(const command_plain &) = delete;
    command_plain &operator=(const command_plain &) = delete;
};

} // namespace detail

/* What a command wrote: bytes, or none where the stream was directed elsewhere. */
struct command_output {
    value output, error;
};

/* Another program, as a child. Its destructor lets it go on, as weft_command_free does. */
class command
{
    weft_command *handle_ = nullptr;

  public:
    command() noexcept = default;
    explicit command(const std::vector<std::string> &argv, const command_options &chosen = {})
    {
        const detail::command_plain plain(argv, chosen);
        handle_ = detail::made(weft_command_start_with(&plain.options));
    }
    /* Takes over what a plain call has started; throws its errno for NULL. */
    explicit command(weft_command *started) : handle_(detail::made(started))
    {
    }
    command(command &&other) noexcept : handle_(std::exchange(other.handle_, nullptr))
    {
    }
    command &operator=(command &&other) noexcept
    {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~command()
    {
        weft_command_free(handle_);
    }

    pid_t pid() const noexcept
    {
        return weft_command_pid(handle_);
    }
    /* This process's end of a stream that is a pipe; borrowed. */
    int stream(int which) const
    {
        const int fd = weft_command_stream(handle_, which);
        detail::check(fd);
        return fd;
    }
    void close(int which)
    {
        detail::check(weft_command_close(handle_, which));
    }
    /* How much of it was written to the command's stdin: all, unless the time ran out. EPIPE when it reads no more. */
    std::size_t write(std::string_view data, deadline until = WEFT_FOREVER)
    {
        std::size_t written = 0;
        detail::in_time(weft_command_write(handle_, data.data(), data.size(), &written, until));
        return written;
    }
    /* What there is of stdout (1) or stderr (2), at most so many octets: none at the end. Nothing when the time ran out. */
    std::optional<std::string> read(int which, std::size_t most = 65536, deadline until = WEFT_FOREVER)
    {
        std::string text(most, '\0');
        const ssize_t length = weft_command_read(handle_, which, text.data(), text.size(), until);
        if (!detail::in_time(length < 0 ? -1 : 0))
            return std::nullopt;
        text.resize(static_cast<std::size_t>(length));
        return text;
    }
    /* Feeds the input, reads both streams to their end, waits. Nothing when the time ran out: call it again with the same input. */
    std::optional<command_output> communicate(const value &input = {}, deadline until = WEFT_FOREVER)
    {
        command_output got;
        weft_value *output = got.output.place(), *error = got.error.place();
        if (!detail::in_time(weft_command_communicate(handle_, input.get(), output, error, until)))
            return std::nullopt;
        return got;
    }
    /* How it ended; nothing when the time ran out. */
    std::optional<command_status> wait(deadline until = WEFT_FOREVER) const
    {
        command_status status;
        if (!detail::in_time(weft_command_wait(handle_, &status, until)))
            return std::nullopt;
        return status;
    }
    void signal(int number)
    {
        detail::check(weft_command_signal(handle_, number));
    }
    /* It and all that it started, by stop_signal and then by force, or by force at once. False when the time ran out: call it again. */
    bool terminate(deadline until = WEFT_FOREVER)
    {
        return detail::in_time(weft_command_terminate(handle_, until));
    }
    bool kill(deadline until = WEFT_FOREVER)
    {
        return detail::in_time(weft_command_kill(handle_, until));
    }
    weft_command *handle() const noexcept
    {
        return handle_;
    }
};

/* What weft::run gives. */
struct command_result : command_output {
    command_status status{};
};

/*
 * Runs a command to its end: weft::run({"sort", "-n"}, options).output.as_bytes(). Whatever its status, that is no exception; ETIMEDOUT is
 * one when the time ran out: it was stopped then.
 */
inline command_result run(const std::vector<std::string> &argv, const command_options &chosen = {}, deadline until = WEFT_FOREVER)
{
    detail::command_plain plain(argv, chosen);
    plain.options.input = chosen.input.get();
    plain.options.deadline = until;
    weft_command_result got;
    detail::check(weft_command_run_with(&plain.options, &got));
    command_result result;
    result.output = value::adopt(got.output);
    result.error = value::adopt(got.error);
    result.status = got.status;
    return result;
}

/* The current task. */
namespace this_task
{

/* Waits; throws ECANCELED when the task is cancelled. */
inline void sleep(deadline until)
{
    detail::check(weft_sleep_until(until));
}
inline void yield() noexcept
{
    weft_yield();
}
inline bool cancelled() noexcept
{
    return weft_cancelled();
}
inline std::string name()
{
    return weft_task_name(detail::made(weft_current()));
}

} // namespace this_task

} // namespace weft

#endif
