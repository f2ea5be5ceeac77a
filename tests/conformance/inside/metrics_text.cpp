// SPDX-License-Identifier: MIT
#include "metrics_text.h"

#include <cstdlib>
#include <set>
#include <utility>

namespace conformance {
namespace {

bool is_name(std::string_view text) {
  constexpr std::string_view first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  if (text.empty() || first.find(text[0]) == text.npos) return false;
  return text.find_first_not_of(std::string(first) + "0123456789") == text.npos;
}

/// Takes `{a="b",c="d"}` off the front. False: it is none.
bool take_labels(std::string_view& text, std::string& bound) {
  text.remove_prefix(1);
  std::set<std::string_view> names;
  for (;;) {
    const auto equals = text.find("=\"");
    if (equals == text.npos || !is_name(text.substr(0, equals))) return false;
    const auto name = text.substr(0, equals);
    if (!names.insert(name).second) return false;
    text.remove_prefix(equals + 2);
    std::size_t end = 0;
    for (; end < text.size() && text[end] != '"'; ++end)
      if (text[end] == '\\' && (++end == text.size() || std::string_view("\\n\"").find(text[end]) ==
                                                            std::string_view::npos))
        return false;
    if (end >= text.size()) return false;
    if (name == "le") bound = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (text.starts_with(',')) {
      text.remove_prefix(1);
      continue;
    }
    if (!text.starts_with('}')) return false;
    text.remove_prefix(1);
    return true;
  }
}

bool take_number(std::string_view text, double& value) {
  if (text == "+Inf" || text == "-Inf" || text == "NaN") return true;
  const std::string copy(text);
  char* end = nullptr;
  value = std::strtod(copy.c_str(), &end);
  return !copy.empty() && *end == 0 && copy[0] != ' ';
}

class reader {
 public:
  metrics_text all;
  void line(std::string_view text);
  void end_of_family();

 private:
  void fail(const std::string& why, std::string_view text) {
    if (all.wrong.empty()) all.wrong = why + ": " + std::string(text);
  }
  void head(std::string_view text);
  void one(std::string_view text);
  void bucket(const std::string& series, const std::string& bound, double value,
              std::string_view text);

  std::set<std::string> families_;
  std::string family_, type_, helped_;
  bool has_samples_ = false;
  // Of a histogram, by its labels without the bound.
  std::map<std::string, std::pair<double, double>> last_;  // bound and value
  std::map<std::string, double> infinite_;
};

void reader::head(std::string_view text) {
  const bool is_help = text.starts_with("# HELP ");
  if (!is_help && !text.starts_with("# TYPE ")) return fail("no comment of the format", text);
  auto rest = text.substr(7);
  const std::string name(rest.substr(0, rest.find(' ')));
  if (!is_name(name) || rest.size() <= name.size() + 1) return fail("no name, or no text", text);
  rest.remove_prefix(name.size() + 1);
  if (is_help) {
    end_of_family();
    if (!families_.insert(name).second) return fail("a family twice", text);
    helped_ = name;
    family_.clear();
    return;
  }
  if (helped_ != name) return fail("no HELP before its TYPE", text);
  family_ = name;
  type_ = rest;
  has_samples_ = false;
  if (type_ != "counter" && type_ != "gauge" && type_ != "histogram") fail("no type", text);
  if ((type_ == "counter") != name.ends_with("_total")) fail("a counter is called _total", text);
}

void reader::bucket(const std::string& series, const std::string& bound, double value,
                    std::string_view text) {
  double at = 0;
  if (bound == "+Inf")
    at = 1e300;
  else if (!take_number(bound, at))
    return fail("no bound", text);
  if (const auto before = last_.find(series); before != last_.end()) {
    if (before->second.first >= at) fail("bounds do not grow", text);
    if (before->second.second > value) fail("buckets fall", text);
  }
  last_[series] = {at, value};
  if (bound == "+Inf") infinite_[series] = value;
}

void reader::one(std::string_view text) {
  const auto whole = text;
  const auto end = text.find_first_of("{ ");
  if (end == text.npos) return fail("no value", whole);
  const std::string name(text.substr(0, end));
  if (!is_name(name)) return fail("no name", whole);
  text.remove_prefix(end);
  std::string bound;
  if (text.starts_with('{') && !take_labels(text, bound)) return fail("wrong labels", whole);
  const std::string series(whole.substr(0, whole.size() - text.size()));
  double value = 0;
  if (!text.starts_with(' ') || !take_number(text.substr(1), value)) return fail("no value", whole);
  has_samples_ = true;
  std::string suffix;
  if (type_ == "histogram" && name.starts_with(family_)) suffix = name.substr(family_.size());
  const bool fits = type_ == "histogram"
                        ? suffix == "_bucket" || suffix == "_sum" || suffix == "_count"
                        : name == family_;
  if (!fits) return fail("a sample outside of its family", whole);
  if ((suffix == "_bucket") == bound.empty()) return fail("a bound belongs to a bucket", whole);
  if (!all.samples.emplace(series, metrics_text::sample{value, type_, type_ != "gauge"}).second)
    fail("a sample twice", whole);
  if (type_ != "gauge" && value < 0) fail("a count below zero", whole);
  std::string labels = series.substr(name.size());
  if (const auto le = labels.find("le=\""); le != labels.npos)
    labels.erase(le == 1 ? 1 : le - 1, labels.find('"', le + 4) + 1 - (le == 1 ? 1 : le - 1));
  if (labels == "{}") labels.clear();
  if (suffix == "_bucket") bucket(labels, bound, value, whole);
  if (suffix == "_count" && (!infinite_.count(labels) || infinite_[labels] != value))
    fail("the count is not the last bucket", whole);
}

void reader::line(std::string_view text) {
  if (text.starts_with('#'))
    head(text);
  else
    one(text);
}

void reader::end_of_family() {
  if (!family_.empty() && !has_samples_) fail("a family without samples", family_);
  last_.clear();
  infinite_.clear();
}

}  // namespace

metrics_text metrics_text::read(std::string_view text) {
  reader r;
  if (!text.ends_with('\n')) r.all.wrong = "the last line does not end";
  while (!text.empty() && r.all.wrong.empty()) {
    const auto end = text.find('\n');
    r.line(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  r.end_of_family();
  return std::move(r.all);
}

double metrics_text::at(const std::string& name) const {
  const auto found = samples.find(name);
  return found == samples.end() ? -1 : found->second.value;
}

}  // namespace conformance
