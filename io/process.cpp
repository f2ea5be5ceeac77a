// SPDX-License-Identifier: MIT
#include <heddle/io/process.h>

#include <heddle/io/process/communicate.h>
#include <heddle/io/process/process_state.h>
#include <heddle/io/process/spawn_child.h>
#include <heddle/io/process/terminal.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/stream_core.h>

#include <iterator>
#include <new>
#include <string>

namespace heddle {

struct process_access {
  static process make(detail::spawned_child child, const process_options& o) {
    process p;
    detail::process_state* state;
    try {
      state = new detail::process_state(child.pid, group_of(child.pid, o));
    } catch (const std::bad_alloc&) {
      detail::kill_and_reap(child.pid);
      throw;
    }
    p.state_ = detail::process_ref(state);
    state->watch(std::move(child.pidfd));
    if (child.in.valid()) p.stdin = open(child.in, detail::watched_for::writing, o).writer;
    open_output(child.out, o, p.stdout, p.closers_[0]);
    open_output(child.error, o, p.stderr, p.closers_[1]);
    if (child.terminal.valid()) p.terminal = detail::make_pty(std::move(child.terminal), o.limit);
    p.extra_.reserve(child.extra.size());
    for (auto& e : child.extra) open_extra(e, o, p.extra_.emplace_back());
    return p;
  }

 private:
  /// The group that the child leads or has joined; 0: ours.
  static pid_t group_of(pid_t pid, const process_options& o) {
    if (o.new_session || o.terminal) return pid;
    if (!o.process_group) return 0;
    return *o.process_group == 0 ? pid : *o.process_group;
  }
  static connection open(detail::fd& end, detail::watched_for purpose, const process_options& o) {
    return detail::make_connection(detail::stream_core::open_pipe(
        std::move(end), detail::current_reactor(), purpose, o.limit));
  }
  static void open_output(detail::fd& end, const process_options& o, stream_reader& reader,
                          stream_writer& closer) {
    if (!end.valid()) return;
    connection c = open(end, detail::watched_for::reading, o);
    reader = std::move(c.reader);
    closer = std::move(c.writer);
  }
  static void open_extra(detail::extra_end& end, const process_options& o,
                         process::extra_pipe& pipe) {
    pipe.what = end.what;
    if (end.what.way == child_pipe::to_child) {
      pipe.writer = open(end.ours, detail::watched_for::writing, o).writer;
    } else if (end.what.way == child_pipe::from_child) {
      open_output(end.ours, o, pipe.reader, pipe.writer);
    } else {
      auto& home = detail::current_reactor();
      connection c = detail::make_connection(detail::stream_core::open(
          std::move(end.ours), home, detail::watched_for::streaming, o.limit, address()));
      pipe.reader = std::move(c.reader);
      pipe.writer = std::move(c.writer);
    }
  }
};

process& process::operator=(process&& other) noexcept {
  if (this != &other) {
    close();
    stdin = std::move(other.stdin);
    stdout = std::move(other.stdout);
    stderr = std::move(other.stderr);
    terminal = std::move(other.terminal);
    state_ = std::move(other.state_);
    extra_ = std::move(other.extra_);
    closers_[0] = std::move(other.closers_[0]);
    closers_[1] = std::move(other.closers_[1]);
  }
  return *this;
}

process::~process() { close(); }

void process::close() noexcept {
  stdin.close();
  for (auto& c : closers_) c.close();
  for (auto& e : extra_) e.writer.close();
  terminal.close();
  if (auto* s = state_.get()) s->let_go();
}

pid_t process::pid() const { return state_.use().pid(); }
std::optional<int> process::returncode() const { return state_.use().code(); }
std::optional<resource_usage> process::usage() const { return state_.use().usage(); }
void process::send_signal(int number) { state_.use().send(number); }
void process::signal_group(int number) { state_.use().send_to_group(number); }

void process::detach() noexcept {
  if (auto* s = state_.get()) s->detach();
}

process::extra_pipe& process::find_pipe(int number, child_pipe::direction way) {
  for (auto& e : extra_)
    if (e.what.number == number && (e.what.way == way || e.what.way == child_pipe::both_ways))
      return e;
  throw bad_value("the child has no pipe " + std::to_string(number) +
                  (way == child_pipe::to_child ? " that we write" : " that we read") +
                  ": process_options::pipes lists them");
}

stream_writer& process::input(int number) { return find_pipe(number, child_pipe::to_child).writer; }

stream_reader& process::output(int number) {
  return find_pipe(number, child_pipe::from_child).reader;
}

task<int> process::wait() const {
  (void)state_.use();
  return detail::wait_for_exit(state_);
}

task<process_output> process::communicate(std::string input) {
  (void)state_.use();
  return detail::talk(state_, {stdin, stdout, stderr}, std::optional<std::string>(std::move(input)),
                      std::nullopt);
}

task<process_output> process::communicate(std::string input, any_duration limit) {
  (void)state_.use();
  return detail::talk(state_, {stdin, stdout, stderr}, std::optional<std::string>(std::move(input)),
                      limit.get());
}

task<process_output> process::communicate() {
  (void)state_.use();
  return detail::talk(state_, {stdin, stdout, stderr}, std::nullopt, std::nullopt);
}

task<process> create_subprocess_exec(std::vector<std::string> command, process_options options) {
  detail::check_limit(options.limit);
  process p = process_access::make(detail::spawn_child(command, options), options);
  co_return p;
}

task<process> create_subprocess_shell(std::string command, process_options options) {
  std::vector<std::string> words;
  words.emplace_back("/bin/sh");
  words.emplace_back("-c");
  words.push_back(std::move(command));
  return create_subprocess_exec(std::move(words), std::move(options));
}

task<process> create_subprocess_exec(std::vector<std::string> command) {
  return create_subprocess_exec(std::move(command), process_options());
}

task<process> create_subprocess_shell(std::string command) {
  return create_subprocess_shell(std::move(command), process_options());
}

task<process> detail::exec_words(std::string* words, std::size_t count, process_options options) {
  return create_subprocess_exec(std::vector<std::string>(std::make_move_iterator(words),
                                                         std::make_move_iterator(words + count)),
                                std::move(options));
}

task<process> detail::exec_words(std::string* words, std::size_t count) {
  return exec_words(words, count, process_options());
}

}  // namespace heddle
