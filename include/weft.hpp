/* SPDX-License-Identifier: MIT */
/*
 * Weft for C++17 and later: #include <weft.hpp>. A thin layer over the plain forms of <weft.h>, all of it in this file.
 *
 * What the standard library has too is named as there, so that in much code std:: becomes weft:: and nothing else changes: mutex,
 * recursive_mutex, condition_variable, barrier, once_flag work with std::lock_guard, std::unique_lock, std::scoped_lock, and wait in whatever kind
 * of task they are used. A task is what std::jthread is: its destructor cancels it and waits for its end.
 *
 * Errors. What fails throws weft::error, a std::system_error whose code is the errno number. An exception that leaves a task's function
 * becomes an error value: its text is what(), its code that of a std::system_error (ENOMEM of std::bad_alloc, EINVAL of any other). get()
 * throws it as a weft::error, in whichever task asks. A wait that runs out of time says so by what it returns; one that is cancelled throws
 * ECANCELED, so that a cancelled task unwinds. Taking a mutex is not ended by cancellation: what std::lock_guard is not made for.
 *
 * Deadlines are durations (weft::queue::get(100ms)), points of std::chrono::steady_clock, or a weft_time.
 *
 * Results. What a function returns travels as a value when it is a weft::value, bool, number or std::string, and can then be asked for again; of any
 * other type, one that can only be moved too, the first get() moves it out.
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

/* Runs a callable, which may be one that can only be moved, as a task. */
template <class F, class R = detail::result_of<F>> [[nodiscard]] task<R> spawn(F &&function, const spawn_options &chosen = {})
{
    using call = detail::call<std::decay_t<F>>;
    auto place = detail::place_make<R>();
    auto going = std::make_unique<call>(std::forward<F>(function), place);
    weft_spawn_options options{};
    options.size = sizeof(options);
    options.kind = chosen.kind;
    options.function = call::run_last;
    options.argument = weft_ptr(going.get());
    options.name = chosen.name;
    options.daemon = chosen.daemon;
    options.stack_size = chosen.stack_size;
    options.cpus = chosen.cpus;
    options.nice = chosen.nice;
    weft_task *handle = detail::made(weft_spawn_with(&options));
    going.release();
    return task<R>(handle, std::move(place));
}

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
        options.kind = chosen.kind;
        options.workers = chosen.workers;
        options.backlog = chosen.backlog;
        options.when_full = chosen.when_full;
        options.name = chosen.name;
        options.stack_size = chosen.stack_size;
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
    explicit constexpr semaphore(std::uint32_t permits) noexcept : object_{permits, 0, 0, 0}
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
