// SPDX-License-Identifier: MIT
#include <heddle/io/process/communicate.h>

#include <heddle/io/process/process_state.h>
#include <heddle/sched/gather.h>

#include <exception>
#include <system_error>

namespace heddle::detail {

task<int> wait_for_exit(process_ref state) {
  exit_wait end(state.use());
  co_await end;
  const auto code = state.use().code();
  co_return *code;
}

namespace {

task<> feed(stream_writer& in, std::optional<std::string> text) {
  if (!in.valid()) co_return;
  try {
    if (text) in.write(*text);
    co_await in.drain();
  } catch (const std::system_error&) {
    // The child does not read all of its input, which is no error.
  } catch (const std::exception&) {
    in.close();  // a child that waits for more input would never end
    throw;
  }
  in.close();
}

task<std::optional<std::string>> take_all(stream_reader& from) {
  std::optional<std::string> text;
  if (from.valid()) {
    std::string all = co_await from.read();
    text = std::move(all);
  }
  co_return text;
}

}  // namespace

// The three tasks use the pipes. So those that began must end before this one does, also when a
// later one cannot begin.
task<process_output> talk(process_ref child, standard_pipes p, std::optional<std::string> input) {
  task_handle<> fed;
  task_handle<std::optional<std::string>> out, error;
  std::exception_ptr cut;
  try {
    fed = create_task(feed(p.in, std::move(input)));
    out = create_task(take_all(p.out));
    error = create_task(take_all(p.error));
    auto all = gather_settled(fed, out, error);
    (void)co_await std::move(all);
  } catch (...) { cut = std::current_exception(); }
  if (cut) {
    if (fed.valid()) (void)fed.cancel();
    if (out.valid()) (void)out.cancel();
    if (error.valid()) (void)error.cancel();
    // `cut` is the error that is thrown. Errors of the three, and further cancellations, are
    // dropped.
    while (fed.valid() && !fed.done()) try {
        co_await fed;
      } catch (...) {}
    while (out.valid() && !out.done()) try {
        (void)co_await out;
      } catch (...) {}
    while (error.valid() && !error.done()) try {
        (void)co_await error;
      } catch (...) {}
    std::rethrow_exception(cut);
  }
  process_output result;
  co_await fed;
  auto& text = co_await out;
  result.stdout = std::move(text);
  auto& errors = co_await error;
  result.stderr = std::move(errors);
  auto ended = wait_for_exit(std::move(child));
  (void)co_await std::move(ended);
  co_return result;
}

}  // namespace heddle::detail
