// SPDX-License-Identifier: MIT
// Context variables: values that belong to a task and are handed down to what it starts (Python's
// contextvars).
//
//   h::context_var<int> number{"number"};
//   number.set(1);
//   auto child = h::create_task([]() -> h::task<int> { co_return number.get(); });  // gets 1
//   number.set(3);  // the child does not see this
#pragma once

#include <heddle/core/base/functional.h>
#include <heddle/core/errors.h>
#include <heddle/core/record/context_slot.h>
#include <heddle/core/record/task_record.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace heddle {

template <class T>
class context_var;

namespace detail {

template <class T>
class context_value_of final : public context_value {
 public:
  template <class U>
  explicit context_value_of(U&& v) : value(std::forward<U>(v)) {}
  const T value;
};

[[noreturn]] void throw_not_set(const std::string& name);
void check_token(bool used, std::uint64_t variable, std::uint64_t of, std::uint64_t made_in);
/// The slot of the current context, which is made if there is none, and the context's identity.
std::pair<context_slot*, std::uint64_t> context_to_change();

}  // namespace detail

/// What `context_var::set` returns. With it `context_var::reset` takes the variable back to what it
/// was, once.
template <class T>
class context_token {
 public:
  context_token(context_token&&) noexcept = default;
  context_token& operator=(context_token&&) noexcept = default;

  /// The value before the set; none if there was none.
  [[nodiscard]] std::optional<T> old_value() const {
    if (!old_) return std::nullopt;
    return static_cast<const detail::context_value_of<T>&>(*old_).value;
  }

 private:
  friend class context_var<T>;
  context_token(std::uint64_t variable, std::uint64_t made_in,
                detail::context_value_ref old) noexcept
      : variable_(variable), made_in_(made_in), old_(std::move(old)) {}

  std::uint64_t variable_;
  std::uint64_t made_in_;
  detail::context_value_ref old_;
  bool used_ = false;
};

/// A variable whose value belongs to the current context: every task has its own, and begins with a
/// copy of its creator's.
///
/// What is set in a task is seen there, and by every task, callback and to_thread call that the
/// task starts from then on. It is seen neither by the task's creator nor by the tasks that it
/// started before. Callbacks (call_soon, add_done_callback) see what was set where they were given,
/// and what they set ends with them. Strands of fork_join share the context of their task.
///
/// Cost      get: a lock that nobody contends, a search among the variables that are set, a copy of
///           T (make it a shared_ptr if it is large). set: a copy of the map. A task that is
///           created while nothing is set pays nothing, otherwise one increment and a block from
///           the cache
/// Throws    usage_error when there is neither a value nor a default
/// Thread-safety: every function may be called from any task and thread. Each foreign thread has a
/// context of its own. Make the variable a global, or let it outlive those that use it.
template <class T>
class context_var {
 public:
  /// `name` is for people.
  explicit context_var(std::string name) : name_(std::move(name)) {}
  context_var(std::string name, T default_value)
      : name_(std::move(name)), default_(std::move(default_value)) {}
  context_var(const context_var&) = delete;
  context_var& operator=(const context_var&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// The value in the current context, else the default. Throws usage_error if there is neither.
  [[nodiscard]] T get() const {
    if (const auto v = find()) return value_in(*v);
    if (!default_) detail::throw_not_set(name_);
    return *default_;
  }
  /// The same with `fallback` in place of the default.
  [[nodiscard]] T get(T fallback) const {
    if (const auto v = find()) return value_in(*v);
    return fallback;
  }
  /// The same, or nothing if there is neither a value nor a default.
  [[nodiscard]] std::optional<T> try_get() const {
    if (const auto v = find()) return value_in(*v);
    return default_;
  }

  /// Sets it in the current context. Throws std::bad_alloc.
  context_token<T> set(T value) {
    detail::context_value_ref made(new detail::context_value_of<T>(std::move(value)));
    const auto [slot, identity] = detail::context_to_change();
    auto old = slot->replace(number_, std::move(made));
    return context_token<T>(number_, identity, std::move(old));
  }
  /// Takes back the set that `token` came from. Throws usage_error if it was taken back before,
  /// bad_value if the token is another variable's or was made in another context.
  void reset(context_token<T>& token) {
    const auto [slot, identity] = detail::context_to_change();
    detail::check_token(token.used_, token.variable_, number_,
                        token.made_in_ == identity ? 0 : token.made_in_);
    (void)slot->replace(number_, token.old_);
    token.used_ = true;
  }
  void reset(context_token<T>&& token) { reset(token); }

 private:
  friend class context;
  [[nodiscard]] detail::context_value_ref find() const {
    auto* slot = detail::current_context(false);
    return slot ? slot->find(number_) : detail::context_value_ref();
  }
  static const T& value_in(const detail::context_value& v) noexcept {
    return static_cast<const detail::context_value_of<T>&>(v).value;
  }

  std::string name_;
  std::optional<T> default_;
  const std::uint64_t number_ = detail::next_context_number();
};

/// A context as an object: values of context variables that may be read, and given to several
/// tasks. These then see each other's changes:
///
///   auto shared = h::copy_context();
///   h::create_task({.context = shared}, writer);
///   h::create_task({.context = shared}, reader);
///
/// A counted handle: its copies refer to one context (`copy()` makes another). Thread-safety: may
/// be used from any thread.
class context {
 public:
  /// An empty one.
  context() : state_(new detail::context_state) {}
  explicit context(detail::context_ref state) noexcept : state_(std::move(state)) {}

  /// Another context with the same values. Cost: one block.
  [[nodiscard]] context copy() const {
    return context(detail::context_ref(new detail::context_state(state_->slot.copy())));
  }
  /// Calls `f(args...)` with this as the current context: what `f` sets stays here. A task that `f`
  /// returns has not begun yet, and does not run in this context: give the context to create_task.
  template <class F, class... Args>
  decltype(auto) run(F&& f, Args&&... args) const {
    const context kept = *this;
    detail::context_scope inside(&kept.state_->slot);
    return detail::invoke(std::forward<F>(f), std::forward<Args>(args)...);
  }
  /// The value here; none if the variable is not set here (its default does not count).
  template <class T>
  [[nodiscard]] std::optional<T> get(const context_var<T>& variable) const {
    const auto v = state_->slot.find(variable.number_);
    if (!v) return std::nullopt;
    return context_var<T>::value_in(*v);
  }
  template <class T>
  [[nodiscard]] bool contains(const context_var<T>& variable) const noexcept {
    return static_cast<bool>(state_->slot.find(variable.number_));
  }
  /// How many variables are set.
  [[nodiscard]] std::size_t size() const noexcept {
    const auto map = state_->slot.copy();
    return map ? map->size() : 0;
  }
  /// True: both refer to one context.
  friend bool operator==(const context& a, const context& b) noexcept {
    return a.state_.get() == b.state_.get();
  }

  /// For the library.
  [[nodiscard]] const detail::context_ref& state() const noexcept { return state_; }

 private:
  detail::context_ref state_;
};

/// A copy of the current context. From any task, callback or thread.
[[nodiscard]] context copy_context();

}  // namespace heddle
