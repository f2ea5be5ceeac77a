// SPDX-License-Identifier: MIT
// A small JSON API, asked without a port: typed handlers, state, middlewares, answers to errors.
#include <heddle/heddle.h>
#include <heddle/io/http/typed.h>

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace h = heddle;
namespace http = h::http;
using namespace std::chrono_literals;

struct note {
  int id = 0;
  std::string text;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(note, id, text)

// Handlers run on all loops at once.
class notes {
 public:
  std::optional<note> find(int id) {
    const std::lock_guard lock(mutex_);
    const auto at = by_id_.find(id);
    return at == by_id_.end() ? std::nullopt : std::optional(at->second);
  }
  void put(note n) {
    const std::lock_guard lock(mutex_);
    by_id_[n.id] = std::move(n);
  }

 private:
  std::mutex mutex_;
  std::map<int, note> by_id_;
};

http::router api() {
  http::router r;
  r.state(std::make_shared<notes>());
  r.use(http::request_id()).use(http::compress()).use(http::time_limit(5s));
  r.get("/notes/{id:int}", [](http::path<int> id, http::state<notes> all) {
     return all->find(id);  // the note as JSON, or 404
   }).name("note");
  r.post("/notes", [](http::json_body<note> n, http::state<notes> all, http::request& asked) {
    all->put(n.get());
    auto made = http::response::text("", 201);
    made.headers.add("Location", asked.url_for("note", {std::to_string(n->id)}));
    return made;
  });
  return r;
}

h::task<> show(http::test_client& client, http::method m, std::string target, std::string body) {
  http::headers fields;
  if (!body.empty()) fields.add("Content-Type", "application/json");
  auto asking = client.send(m, target, std::move(fields), std::move(body));
  const http::response answer = co_await asking;
  std::string rest(answer.headers.get("location").value_or(""));
  if (answer.status == 200) rest = answer.body;
  if (!rest.empty()) rest = " " + rest;
  std::printf("%s %s: %d%s\n", std::string(m.text()).c_str(), target.c_str(), answer.status,
              rest.c_str());
}

h::task<> main_task() {
  http::test_client client(api());
  co_await show(client, http::method::get, "/notes/1", "");
  co_await show(client, http::method::post, "/notes", R"({"id": 1, "text": "hello"})");
  co_await show(client, http::method::get, "/notes/1", "");
  co_await show(client, http::method::post, "/notes", R"({"id": "one"})");
  co_await show(client, http::method::delete_, "/notes/1", "");
  co_await client.stop();
}

// A program that serves it would say: h::run(http::run_app(api(), http::listen("", 8080)))
int main() { h::run(main_task()); }
// > GET /notes/1: 404
// > POST /notes: 201 /notes/1
// > GET /notes/1: 200 {"id":1,"text":"hello"}
// > POST /notes: 400
// > DELETE /notes/1: 405
