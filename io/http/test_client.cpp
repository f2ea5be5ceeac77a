// SPDX-License-Identifier: MIT
#include <heddle/io/http/test_client.h>

#include <heddle/core/errors.h>
#include <heddle/io/http/errors.h>
#include <heddle/io/http/message/parser.h>
#include <heddle/io/http/message/writer.h>
#include <heddle/io/http/serving/application.h>
#include <heddle/io/http/serving/conversation.h>
#include <heddle/io/http/serving/engine.h>
#include <heddle/io/http/serving/listening.h>
#include <heddle/io/memory_pair.h>
#include <heddle/sched/create_task.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace heddle::http {
namespace detail {

struct test_site {
  test_site(router r, server_options o) : root(std::move(r)), shared(engine::make(std::move(o))) {}

  router root;
  std::shared_ptr<engine> shared;
  std::mutex mutex;
  std::vector<task_handle<>> talks;  // under `mutex`
};

}  // namespace detail

test_client::test_client(router app) : test_client(std::move(app), server_options()) {}
test_client::test_client(router app, server_options options)
    : site_(new detail::test_site(std::move(app), std::move(options))) {}
test_client::test_client(test_client&&) noexcept = default;
test_client& test_client::operator=(test_client&&) noexcept = default;
test_client::~test_client() = default;

task<> test_client::start() {
  auto& e = *site_->shared;
  if (e.started) heddle::detail::throw_usage("this application was started already");
  detail::make_application(detail::router_access::plan(site_->root), e.routes, e.app);
  detail::begin(e);
  task<> entering = detail::enter(e.app);
  co_await entering;
}

connection test_client::connect() {
  auto& s = *site_;
  if (!s.shared->started) heddle::detail::throw_usage("connect() comes behind start()");
  auto [here, there] = memory_pair();
  auto talk = create_task(detail::converse(s.shared, std::move(there)));
  const std::lock_guard lock(s.mutex);
  std::erase_if(s.talks, [](const task_handle<>& t) { return t.done(); });
  s.talks.push_back(std::move(talk));
  return std::move(here);
}

task<response> test_client::get(std::string target) {
  return send(method::get, std::move(target), headers(), std::string());
}

task<response> test_client::post(std::string target, std::string body) {
  return send(method::post, std::move(target), headers(), std::move(body));
}

task<response> test_client::send(method m, std::string target, headers fields, std::string body) {
  if (!site_->shared->started) {
    task<> starting = start();
    co_await starting;
  }
  std::string text;
  write_request(text, m, target, "test", fields, body);
  limits l;
  l.header_count = 1000;
  l.body_bytes = ~std::size_t{0} >> 1;
  response_parser parser(l);
  parser.expect(m);
  connection c = connect();
  c.writer.write(text);
  bool more = true;
  while (more && !parser.done() && !parser.failed()) {
    more = co_await c.reader.fill();
    c.reader.consume(parser.feed(c.reader.buffered()));
  }
  if (!more) parser.finish();
  c.writer.close();
  if (parser.done()) co_return std::move(parser.message());
  if (more)
    throw protocol_error("the answer to " + target + ": " + std::string(parser.error().reason));
  throw connection_lost("the application ended the connection without an answer to " + target);
}

task<> test_client::stop(any_duration grace) {
  auto& s = *site_;
  std::vector<task_handle<>> talks;
  {
    const std::lock_guard lock(s.mutex);
    talks.swap(s.talks);
  }
  task<> ending = detail::end_talks(*s.shared, std::move(talks), grace);
  co_await ending;
  task<> leaving = detail::leave(s.shared->app);
  co_await leaving;
}

server_stats test_client::stats() const { return site_->shared->stats(); }

}  // namespace heddle::http
