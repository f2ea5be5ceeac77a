// SPDX-License-Identifier: MIT
#include "room.h"

#include "limits.h"
#include "names.h"
#include "refused.h"

#include <heddle/io/http/json.h>

namespace board {
namespace {

constexpr std::string_view ending = ".jsonl";

http::ws_message as_text(const nlohmann::json& value) {
  http::ws_message m;
  m.data = http::json_text(value);
  return m;
}

}  // namespace

/// A guest that reads too slowly is sent away. Its page comes back, and asks for what it missed.
http::topic_options room::how_it_talks() {
  http::topic_options o;
  o.slow = http::slow_receiver::close;
  return o;
}

h::task<> room::recall() {
  if (past_) co_return;
  auto past = co_await history::open(path_);
  past_.emplace(std::move(past));
}

h::task<http::subscription> room::enter(http::websocket& ws, std::uint64_t after) {
  const auto turn = co_await turn_.scoped_lock();
  co_await recall();
  nlohmann::json past = nlohmann::json::array();
  for (const auto& m : past_->last())
    if (m.id > after) past.push_back(m);
  // try_send() waits for nobody: no slow newcomer holds the room up.
  const auto first = as_text({{"history", past}});
  (void)ws.try_send(first);
  co_return talk_.subscribe(ws);
}

h::task<message> room::say(message m) {
  const auto turn = co_await turn_.scoped_lock();
  co_await recall();
  m.id = past_->next_id();
  try {
    co_await past_->append(m);
  } catch (const std::system_error& e) { refuse_if_full(e); }
  const auto told = as_text({{"said", m}});
  co_await talk_.publish(told);
  co_return m;
}

h::task<> room::publish_count() {
  const auto turn = co_await turn_.scoped_lock();
  const auto told = as_text({{"guests", guests()}});
  co_await talk_.publish(told);
}

h::task<> rooms::start() {
  co_await h::make_directories(directory_);
  auto files = h::list_directory(directory_);
  while (auto* file = co_await files.next()) {
    if (!file->name.ends_with(ending)) continue;
    const auto name = file->name.substr(0, file->name.size() - ending.size());
    try {
      (void)make(to_room_name(name).text);
    } catch (const refused&) {}  // a file that is no room's
  }
}

std::shared_ptr<room>& rooms::make(const std::string& name) {
  auto& there = all_[name];
  if (!there) there = std::make_shared<room>(directory_ + "/" + name + std::string(ending));
  return there;
}

std::shared_ptr<room> rooms::at(const std::string& name) {
  const std::lock_guard hold(mutex_);
  if (all_.size() >= limits::rooms && !all_.contains(name))
    throw refused(503, "this board has no more than " + std::to_string(limits::rooms) + " rooms");
  return make(name);
}

std::vector<rooms::entry> rooms::list() const {
  std::vector<entry> found;
  const std::lock_guard hold(mutex_);
  for (const auto& [name, one] : all_) found.push_back({name, one->guests()});
  return found;
}

}  // namespace board
