// SPDX-License-Identifier: MIT
#include <heddle/io/process/communicate.h>

#include <heddle/io/process/process_state.h>
#include <heddle/sched/gather.h>
#include <heddle/sched/wait_for.h>

#include <exception>
#include <system_error>

namespace heddle::detail {

task<int> wait_for_exit(process_ref state) {
  exit_wait end(state.use());
  co_await end;
  const auto code = state.use().code();
  co_return *code;
}

task<> end_tasks(std::vector<task_handle<>>& tasks) {
  for (auto& t : tasks) (void)t.cancel();
  for (auto& t : tasks) {
    while (!t.done()) try {
        co_await t;
      } catch (...) {}
  }
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

/// What was read of one pipe. It outlives the task that reads, so that a limit loses nothing.
struct gathered {
  explicit gathered(stream_reader& reader) : from(reader) {}
  stream_reader& from;
  std::string text;
};

task<> take_all(gathered& g) {
  if (!g.from.valid()) co_return;
  for (;;) {
    const bool more = co_await g.from.fill();
    const auto bytes = g.from.buffered();
    g.text.append(bytes);
    g.from.consume(bytes.size());
    if (!more) break;
  }
}

/// The three tasks of a talk. They use the pipes and the texts. So those that began must end before
/// the talk does, also when a later one cannot begin.
struct talkers {
  std::vector<task_handle<>> all;

  task<> run(standard_pipes p, std::optional<std::string> input, gathered& output, gathered& errors,
             process_ref child) {
    all.reserve(3);  // a task that has begun finds its place
    all.push_back(create_task(feed(p.in, std::move(input))));
    all.push_back(create_task(take_all(output)));
    all.push_back(create_task(take_all(errors)));
    auto ends = gather_settled(all[0], all[1], all[2]);
    (void)co_await std::move(ends);
    for (auto& t : all) co_await t;
    if (!child.get()) co_return;
    auto ended = wait_for_exit(std::move(child));
    (void)co_await std::move(ended);
  }
};

}  // namespace

task<process_output> talk(process_ref child, standard_pipes p, std::optional<std::string> input,
                          std::optional<duration> limit) {
  gathered out(p.out), errors(p.error);
  talkers three;
  // Made first: there may be no memory for its frame when it is needed.
  auto end = end_tasks(three.all);
  process_output result;
  std::exception_ptr cut;
  try {
    auto whole = three.run(p, std::move(input), out, errors, std::move(child));
    if (limit) {
      auto limited = wait_for(std::move(whole), *limit);
      co_await std::move(limited);
    } else {
      co_await std::move(whole);
    }
  } catch (const timeout_error&) { result.timed_out = true; } catch (...) {
    cut = std::current_exception();
  }
  co_await std::move(end);
  if (cut) std::rethrow_exception(cut);
  if (p.out.valid()) result.stdout = std::move(out.text);
  if (p.error.valid()) result.stderr = std::move(errors.text);
  co_return result;
}

}  // namespace heddle::detail
