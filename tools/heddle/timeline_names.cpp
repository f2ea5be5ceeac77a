// SPDX-License-Identifier: MIT
#include "timeline_names.h"

#include <heddle/core/checked.h>

#include <cstring>
#include <memory>

namespace tool {

using namespace heddle::detail::seeing;
using heddle::detail::narrow;

namespace {

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::uint32_t timeline_names::text(const std::string& text) {
  const auto [at, fresh] = texts_.try_emplace(text, narrow<std::uint32_t>(to_->texts.size()));
  if (fresh) to_->texts.push_back(text);
  return at->second;
}

std::uint32_t timeline_names::task(std::uint64_t name) {
  if (name == 0) return timeline::none;
  const auto [at, fresh] = tasks_.try_emplace(name, narrow<std::uint32_t>(to_->tasks.size()));
  if (fresh) {
    timeline::task t;
    t.id = "#" + std::to_string(process_->tasks().number_of(record_of(name))) + "." +
           std::to_string(generation_of(name));
    to_->tasks.push_back(std::move(t));
  }
  return at->second;
}

std::string timeline_names::function(std::uint64_t address) {
  if (address == 0) return {};
  const auto [at, fresh] = functions_.try_emplace(address);
  if (fresh) at->second = process_->names().function(address);
  return at->second;
}

std::string timeline_names::at(std::uint64_t address) {
  char letters[200];
  if (!process_->what().mem().text(address, letters, sizeof letters)) return {};
  letters[sizeof letters - 1] = 0;
  return letters;
}

// libstdc++'s std::source_location: a pointer to two texts and two numbers.
void timeline_names::born_at(std::uint32_t task, std::uint64_t place) {
  struct {
    address file;
    address function;
    std::uint32_t line;
    std::uint32_t column;
  } p{};
  if (task == timeline::none || place == 0 || place % 8 != 0 ||
      !process_->what().mem().get(place, p) || p.line == 0)
    return;
  to_->tasks[task].file = file_name(at(p.file));
  to_->tasks[task].line = p.line;
}

void timeline_names::born_runs(std::uint32_t task, std::uint64_t function_at) {
  if (task != timeline::none) to_->tasks[task].function = function(function_at);
}

void timeline_names::born_by(std::uint32_t task, std::uint64_t creator) {
  if (task == timeline::none) return;
  const auto by = this->task(creator);
  if (by != timeline::none) to_->tasks[task].by = to_->tasks[by].id;
}

void timeline_names::born_named(std::uint32_t task, std::uint64_t letters) {
  if (task == timeline::none) return;
  char eight[8];
  std::memcpy(eight, &letters, sizeof eight);
  for (const char c : eight)
    if (c != 0) to_->tasks[task].name += c;
}

void timeline_names::look_at_the_living() {
  const auto view = std::make_unique<task_view>();
  for (const auto& [name, index] : tasks_) {
    *view = {};
    if (!process_->tasks().look_at(record_of(name), *view) ||
        (view->generation & trace_generation_mask) != generation_of(name))
      continue;
    auto& t = to_->tasks[index];
    if (view->name[0] != 0) t.name = view->name;
    if (t.file.empty() && view->made_line != 0) {
      t.file = file_name(view->made_file);
      t.line = view->made_line;
    }
    if (t.function.empty() && view->runs != 0)
      t.function = function(view->frames[view->runs - 1].resume);
    t.id = "#" + std::to_string(view->number) + "." + std::to_string(view->generation);
  }
}

}  // namespace tool
