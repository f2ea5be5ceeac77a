// SPDX-License-Identifier: MIT
// Internal to io.
// remote: the door from the user's tasks to an engine and its private runtime.
#pragma once

#include <heddle/core/context.h>
#include <heddle/io/cluster/engine.h>
#include <heddle/sched/runtime.h>

#include <memory>

namespace heddle::cluster::detail {

/// Problem   Jobs may hog every loop of a program. A connection that those loops serve would miss
///           its heartbeats, and a worker that is alive would look dead.
/// Chosen    The engine has a runtime of its own with one loop, so a thread. A call costs two
///           wake-ups between threads.
class remote final : public backend {
 public:
  explicit remote(const options& o, nats_link::dialer dial = {});
  ~remote() override;

  [[nodiscard]] bool local() const noexcept override { return false; }
  [[nodiscard]] task<> connect() override;
  [[nodiscard]] task<outcome> call(call_spec s) override;
  [[nodiscard]] task<std::string> submit(call_spec s) override;
  [[nodiscard]] task<outcome> wait(std::string id) override;
  [[nodiscard]] task<bool> cancel(std::string id) override;
  [[nodiscard]] task<job_status> status(std::string id) override;
  void on_progress(std::string id, std::weak_ptr<progress_function> f) override;
  [[nodiscard]] statistics stats() const override;

  /// Starts a task on the engine's loop. It gets an empty context: the caller's may hold this
  /// object, and the last one to drop it must not be a task of its own runtime.
  template <class T>
  future<T> post(task<T> t) const {
    return heddle::context().run([&] { return runtime_->submit(std::move(t)); });
  }
  [[nodiscard]] engine& core() noexcept { return *engine_; }

 private:
  void open(nats_link::dialer dial);
  void close() noexcept;

  const options options_;
  std::unique_ptr<engine> engine_;
  std::unique_ptr<class runtime> runtime_;  // goes before the engine
};

}  // namespace heddle::cluster::detail
