// SPDX-License-Identifier: MIT
#include <heddle/io/run_process.h>

#include <heddle/io/descriptors/fd.h>
#include <heddle/io/pipe.h>
#include <heddle/io/process/communicate.h>
#include <heddle/sched/create_task.h>
#include <heddle/sched/sleep.h>
#include <heddle/sched/wait_for.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <exception>
#include <optional>

namespace heddle {
namespace {

std::string text_of(const std::vector<std::string>& command) {
  std::string text;
  for (const auto& word : command) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string message_of(const std::vector<std::string>& command, const completed_process& ended) {
  std::string text = "\"" + text_of(command) + "\" ";
  if (ended.returncode >= 0) {
    text += "ended with code " + std::to_string(ended.returncode);
  } else {
    const int signal = -ended.returncode;
    const char* name = ::sigabbrev_np(signal);
    text += "was ended by signal " + std::to_string(signal);
    if (name) text += std::string(" (SIG") + name + ")";
  }
  const auto& errors = ended.errors;
  if (errors.empty()) return text;
  const bool cut = errors.size() > process_error::most_shown;
  text += cut ? ": ..." : ": ";
  text += cut ? errors.substr(errors.size() - process_error::most_shown) : errors;
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

task<> drop_all(stream_reader& from) {
  if (!from.valid()) co_return;
  for (;;) {
    const bool more = co_await from.fill();
    if (!more) break;
    from.consume(from.buffered().size());
  }
}

void send(process& p, int signal, bool to_group) noexcept {
  try {
    if (to_group)
      p.signal_group(signal);
    else
      p.send_signal(signal);
  } catch (const std::exception&) {
    // It has ended, or has become another user's: then there is nothing that we can do.
  }
}

task<> wait_for_all(std::vector<process>& all) {
  for (auto& p : all) {
    auto ended = p.wait();
    (void)co_await std::move(ended);
  }
}

/// Waits for the end of all, also if this task is cancelled, or finds no memory to wait.
task<> reap_all(std::vector<process>& all) {
  for (auto& p : all) {
    while (!p.returncode()) {
      bool waited = false;
      try {
        auto ended = p.wait();
        (void)co_await std::move(ended);
        waited = true;
      } catch (...) {}
      if (!waited) try {
          co_await yield_now();
        } catch (...) {}
    }
  }
}

/// Unless `cut` is null: SIGTERM, a time of grace, SIGKILL, and the reaping. A program that writes
/// much before it ends would wait for a reader, so its output is read, and dropped.
task<> end_gently(std::vector<process>& all, stream_reader& errors, duration grace, bool groups,
                  const std::exception_ptr& cut) {
  if (!cut) co_return;
  for (auto& p : all) send(p, SIGTERM, groups);
  std::vector<task_handle<>> droppers;
  // Both made first: there may be no memory for their frames when they are needed.
  auto reaped = reap_all(all);
  auto ended = detail::end_tasks(droppers);
  try {
    droppers.reserve(1 + 2 * all.size());  // a task that has begun finds its place
    droppers.push_back(create_task(drop_all(errors)));
    for (auto& p : all) {
      p.stdin.close();
      droppers.push_back(create_task(drop_all(p.stdout)));
      droppers.push_back(create_task(drop_all(p.stderr)));
    }
    auto limited = wait_for(wait_for_all(all), grace);
    co_await std::move(limited);
  } catch (...) {}  // the grace has passed, this task was cancelled again, or there is no memory
  for (auto& p : all) send(p, SIGKILL, groups);
  co_await std::move(reaped);
  co_await std::move(ended);
}

/// Whose group is signalled: that of a child that leads one.
bool has_group(const process_options& o) {
  return o.process_group.value_or(1) == 0 || o.new_session || o.terminal;
}

/// Awaits `talk`. An error, or a cancellation, ends the programs first. `errors` is the pipe that
/// they share, if they do.
task<process_output> guarded(std::vector<process>& all, stream_reader& errors,
                             task<process_output> talk, duration grace, bool groups) {
  process_output output;
  std::exception_ptr cut;
  auto end = end_gently(all, errors, grace, groups, cut);  // made first, as in it
  try {
    output = co_await std::move(talk);
    auto ended = wait_for_all(all);
    co_await std::move(ended);
  } catch (...) { cut = std::current_exception(); }
  co_await std::move(end);
  if (cut) std::rethrow_exception(cut);
  co_return output;
}

struct raw_pipe {
  raw_pipe() {
    int both[2];
    detail::check(::pipe2(both, O_CLOEXEC), "pipe2");
    read = detail::fd(both[0]);
    write = detail::fd(both[1]);
  }
  detail::fd read, write;
};

/// The last program that failed, if one did.
std::optional<std::size_t> failed_one(const std::vector<int>& codes) {
  for (std::size_t i = codes.size(); i-- > 0;)
    if (codes[i] != 0 && (codes[i] != -SIGPIPE || i + 1 == codes.size())) return i;
  return std::nullopt;
}

}  // namespace

process_error::process_error(std::vector<std::string> command, completed_process ended)
    : std::runtime_error(message_of(command, ended)),
      command_(std::move(command)),
      ended_(std::move(ended)) {}

task<completed_process> run_process(std::vector<std::string> command, run_options options) {
  if (!options.input.empty()) options.start.stdin = stdio::pipe;
  std::vector<process> one(1);
  auto started = create_subprocess_exec(command, options.start);
  one[0] = co_await std::move(started);
  stream_reader unshared;
  auto talk = one[0].communicate(std::move(options.input));
  auto whole =
      guarded(one, unshared, std::move(talk), options.grace.get(), has_group(options.start));
  auto output = co_await std::move(whole);
  completed_process ended;
  ended.returncode = one[0].returncode().value();
  ended.output = std::move(output.stdout).value_or(std::string());
  ended.errors = std::move(output.stderr).value_or(std::string());
  ended.usage = one[0].usage();
  if (options.check && ended.returncode != 0)
    throw process_error(std::move(command), std::move(ended));
  co_return ended;
}

task<completed_process> run_process(std::vector<std::string> command) {
  return run_process(std::move(command), run_options());
}

task<std::vector<process>> create_pipeline(std::vector<std::vector<std::string>> commands,
                                           process_options options) {
  if (commands.empty()) throw bad_value("a pipeline without a command");
  std::vector<process> all;
  detail::fd before;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    process_options o = options;
    if (i != 0) o.stdin = stdio::fd(before.get());
    std::optional<raw_pipe> next;
    if (i + 1 != commands.size()) {
      next.emplace();
      o.stdout = stdio::fd(next->write.get());
    }
    auto started = create_subprocess_exec(std::move(commands[i]), std::move(o));
    process p = co_await std::move(started);
    all.push_back(std::move(p));
    // Our copies of the ends would keep the programs from seeing each other's end.
    before = next ? std::move(next->read) : detail::fd();
  }
  co_return all;
}

task<completed_pipeline> run_pipeline(std::vector<std::vector<std::string>> commands,
                                      run_options options) {
  if (!options.input.empty()) options.start.stdin = stdio::pipe;
  const auto names = commands;
  pipe_reader errors;
  std::vector<process> all;
  {
    std::optional<raw_pipe> common;  // the programs share one pipe for their errors
    if (options.start.stderr.what() == stdio::pipe && options.start.stderr.descriptor() < 0) {
      common.emplace();
      options.start.stderr = stdio::fd(common->write.get());
      errors = open_pipe_reader(common->read.release());
    }
    auto started = create_pipeline(std::move(commands), options.start);
    all = co_await std::move(started);
  }
  detail::standard_pipes pipes{all.front().stdin, all.back().stdout, errors};
  auto talk = detail::talk(detail::process_ref(), pipes, std::move(options.input), std::nullopt);
  auto whole = guarded(all, errors, std::move(talk), options.grace.get(), has_group(options.start));
  auto output = co_await std::move(whole);
  completed_pipeline ended;
  for (const auto& p : all) ended.returncodes.push_back(p.returncode().value());
  ended.output = std::move(output.stdout).value_or(std::string());
  ended.errors = std::move(output.stderr).value_or(std::string());
  const auto failed = failed_one(ended.returncodes);
  if (!options.check || !failed) co_return ended;
  completed_process told;
  told.returncode = ended.returncodes[*failed];
  told.output = std::move(ended.output);
  told.errors = std::move(ended.errors);
  throw process_error(names[*failed], std::move(told));
}

task<completed_pipeline> run_pipeline(std::vector<std::vector<std::string>> commands) {
  return run_pipeline(std::move(commands), run_options());
}

}  // namespace heddle
