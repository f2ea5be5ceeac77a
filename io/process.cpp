// SPDX-License-Identifier: MIT
#include <heddle/io/process.h>

#include <heddle/io/process/communicate.h>
#include <heddle/io/process/process_state.h>
#include <heddle/io/process/spawn_child.h>
#include <heddle/io/reactor/reactor.h>
#include <heddle/io/streams/stream_core.h>

#include <iterator>
#include <new>
#include <string>

namespace heddle {

struct process_access {
  static process make(detail::spawned_child child, std::size_t limit) {
    process p;
    detail::process_state* state;
    try {
      state = new detail::process_state(child.pid);
    } catch (const std::bad_alloc&) {
      detail::kill_and_reap(child.pid);
      throw;
    }
    p.state_ = detail::process_ref(state);
    state->watch();
    auto& home = detail::current_reactor();
    using detail::watched_for;
    const auto open = [&](detail::fd& end, watched_for purpose) {
      return detail::make_connection(
          detail::stream_core::open_pipe(std::move(end), home, purpose, limit));
    };
    if (child.in.valid()) p.stdin = open(child.in, watched_for::writing).writer;
    const auto open_output = [&](detail::fd& end, stream_reader& reader, stream_writer& closer) {
      if (!end.valid()) return;
      connection c = open(end, watched_for::reading);
      reader = std::move(c.reader);
      closer = std::move(c.writer);
    };
    open_output(child.out, p.stdout, p.closers_[0]);
    open_output(child.error, p.stderr, p.closers_[1]);
    return p;
  }
};

process& process::operator=(process&& other) noexcept {
  if (this != &other) {
    close();
    stdin = std::move(other.stdin);
    stdout = std::move(other.stdout);
    stderr = std::move(other.stderr);
    state_ = std::move(other.state_);
    closers_[0] = std::move(other.closers_[0]);
    closers_[1] = std::move(other.closers_[1]);
  }
  return *this;
}

process::~process() { close(); }

void process::close() noexcept {
  stdin.close();
  for (auto& c : closers_) c.close();
  if (auto* s = state_.get()) s->let_go();
}

pid_t process::pid() const { return state_.use().pid(); }
std::optional<int> process::returncode() const { return state_.use().code(); }
void process::send_signal(int number) { state_.use().send(number); }

task<int> process::wait() const {
  (void)state_.use();
  return detail::wait_for_exit(state_);
}

task<process_output> process::communicate(std::string input) {
  (void)state_.use();
  return detail::talk(state_, {stdin, stdout, stderr},
                      std::optional<std::string>(std::move(input)));
}

task<process_output> process::communicate() {
  (void)state_.use();
  return detail::talk(state_, {stdin, stdout, stderr}, std::nullopt);
}

task<process> create_subprocess_exec(std::vector<std::string> command, process_options options) {
  detail::check_limit(options.limit);
  process p = process_access::make(detail::spawn_child(command, options), options.limit);
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
