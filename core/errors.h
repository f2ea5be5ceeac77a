// SPDX-License-Identifier: MIT
// The errors of the library, named after asyncio's.
//
// They are sorted by what the caller does. A bug of the caller (`usage_error`, `bad_value`, ...)
// and weather (`std::system_error`, `timeout_error`) derive from std::exception. Cancellation and
// fatal errors do not, so `catch (const std::exception&)` lets them through: a handler of ordinary
// errors must not swallow the order to stop. A task that catches a cancellation rethrows it:
//
//   } catch (const h::cancelled_error& e) {
//     log += std::string("cancelled:") + e.what();
//     throw;
//   } catch (const std::exception& e) { log += e.what(); }
#pragma once

#include <cstddef>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace heddle {

/// Thrown at a wait whose task was cancelled. It is no std::exception: catch it by name, and
/// rethrow it.
class cancelled_error {
 public:
  cancelled_error() = default;
  explicit cancelled_error(std::string message) : message_(std::move(message)) {}
  /// The argument of `cancel(message)`, or empty.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const char* what() const noexcept {
    return message_.empty() ? "cancelled" : message_.c_str();
  }

 private:
  std::string message_;
};

/// Leaves `run` at once, past every task group (asyncio's KeyboardInterrupt and SystemExit). Derive
/// your own from it.
class fatal_error {
 public:
  explicit fatal_error(std::string message) : message_(std::move(message)) {}
  virtual ~fatal_error() = default;
  fatal_error(const fatal_error&) = default;
  fatal_error& operator=(const fatal_error&) = default;
  [[nodiscard]] const char* what() const noexcept { return message_.c_str(); }

 private:
  std::string message_;
};

/// `run` was interrupted by SIGINT and its main task ended cancelled.
class interrupted_error : public fatal_error {
 public:
  interrupted_error() : fatal_error("interrupted by SIGINT") {}
};

/// The call makes no sense in this state: a bug of the caller (asyncio: RuntimeError).
class usage_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// No loop runs in this thread.
class no_running_loop : public usage_error {
 public:
  no_running_loop()
      : usage_error("no running loop: call this from a task or a callback of a heddle runtime") {}
};

/// An argument that is out of its range (asyncio: ValueError).
class bad_value : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A future was asked for a result that it does not have yet, or was given a second one.
class invalid_state_error : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// What a future throws whose promise was destroyed before a result was set.
class broken_promise : public std::logic_error {
 public:
  broken_promise()
      : std::logic_error("broken promise: destroyed before a result or an exception was set") {}
  using std::logic_error::logic_error;
};

/// A deadline passed.
class timeout_error : public std::runtime_error {
 public:
  timeout_error() : std::runtime_error("timed out") {}
  using std::runtime_error::runtime_error;
};

/// The stream ended before all bytes that were asked for had come.
class incomplete_read_error : public std::runtime_error {
 public:
  /// `expected` 0: not known, since a separator was looked for.
  incomplete_read_error(std::string partial, std::size_t expected);
  [[nodiscard]] const std::string& partial() const noexcept { return partial_; }
  [[nodiscard]] std::size_t expected() const noexcept { return expected_; }

 private:
  std::string partial_;
  std::size_t expected_;
};

/// A separator was not found within the stream's limit.
class limit_overrun_error : public std::runtime_error {
 public:
  limit_overrun_error(const std::string& message, std::size_t consumed)
      : std::runtime_error(message), consumed_(consumed) {}
  /// So many bytes may be read away before the next attempt.
  [[nodiscard]] std::size_t consumed() const noexcept { return consumed_; }

 private:
  std::size_t consumed_;
};

class queue_empty : public std::runtime_error {
 public:
  queue_empty() : std::runtime_error("the queue is empty") {}
};
class queue_full : public std::runtime_error {
 public:
  queue_full() : std::runtime_error("the queue is full") {}
};
class queue_shut_down : public std::runtime_error {
 public:
  queue_shut_down() : std::runtime_error("the queue was shut down") {}
  using std::runtime_error::runtime_error;
};
class broken_barrier_error : public std::runtime_error {
 public:
  broken_barrier_error() : std::runtime_error("the barrier is broken") {}
};
class no_such_process : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Several errors that happened together, as a task group throws them.
class exception_group : public std::runtime_error {
 public:
  exception_group(const std::string& message, std::vector<std::exception_ptr> errors);
  [[nodiscard]] const std::vector<std::exception_ptr>& exceptions() const noexcept {
    return errors_;
  }

 private:
  std::vector<std::exception_ptr> errors_;
};

/// True: `error` is a cancelled_error. Looks at its type, without throwing it.
bool is_cancellation(const std::exception_ptr& error) noexcept;

/// The name of a type, for people.
std::string type_name(const std::type_info& type);

/// One line for people: the type's name and the message of any exception, cancellation and fatal
/// errors included.
std::string describe(const std::exception_ptr& error);

/// Throws std::system_error for `code` (an errno value) with the failing call, and the peer or path
/// where there is one.
[[noreturn]] void throw_system_error(int code, const char* call, const std::string& about = {});

namespace detail {

/// ", created at FILE:LINE", or nothing if the place is not known.
std::string created_at(std::source_location made);
/// "task 'NAME', created at FILE:LINE".
std::string describe_task(const std::string& name, std::source_location made);
}  // namespace detail

}  // namespace heddle
