// SPDX-License-Identifier: MIT
#include <heddle/core/errors.h>
#include <heddle/io/cluster/running.h>
#include <heddle/sched/any_task.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <typeinfo>

namespace heddle::cluster::detail {

namespace {

/// So many nested exceptions are told, and so many bytes of each: an outcome fits on a screen.
constexpr std::size_t most_nested = 16;
constexpr std::size_t most_text = 1000;

std::string cut(std::string text) {
  if (text.size() > most_text) text = text.substr(0, most_text) + "...";
  return text;
}

void add_nested(const std::exception& e, std::vector<std::string>& texts) {
  const auto* nested = dynamic_cast<const std::nested_exception*>(&e);
  if (!nested || !nested->nested_ptr() || texts.size() > most_nested) return;
  try {
    nested->rethrow_nested();
  } catch (const std::exception& inner) {
    texts.push_back(cut(type_name(typeid(inner)) + ": " + inner.what()));
    add_nested(inner, texts);
  } catch (...) { texts.push_back(cut(describe(std::current_exception()))); }
}

}  // namespace

ran outcome_of_error(const std::exception_ptr& error, job_place place) {
  ran r;
  r.result.place = std::move(place);
  r.result.kind = outcome_kind::failed;
  r.may_retry = true;
  const auto* type = error.__cxa_exception_type();
  r.result.type = type ? type_name(*type) : "an unknown type";
  try {
    std::rethrow_exception(error);
  } catch (const bad_arguments& e) {
    r.may_retry = false;
    r.result.kind = outcome_kind::bad_arguments;
    r.result.texts.push_back(cut(e.what()));
  } catch (const too_large& e) {
    r.may_retry = false;
    r.result.kind = outcome_kind::too_large;
    r.result.size = e.size();
    r.result.limit = e.limit();
    r.result.texts.push_back(cut(e.what()));
  } catch (const std::exception& e) {
    r.may_retry = dynamic_cast<const permanent*>(&e) == nullptr;
    r.result.texts.push_back(cut(e.what()));
    add_nested(e, r.result.texts);
  } catch (const cancelled_error& e) { r.result.texts.push_back(cut(e.what())); } catch (...) {
    r.result.texts.push_back(r.result.type);
  }
  return r;
}

task<ran> execute(const implementation& i, std::shared_ptr<job_run> run, std::string arguments,
                  std::uint64_t signature, job_place place) {
  std::exception_ptr error;
  try {
    if (signature != i.signature)
      throw bad_arguments("the submitter and the worker disagree on the signature of " + place.job +
                          ": give the changed job another version");
    auto running = i.run(run, std::move(arguments));
    ran r;
    r.result.value = co_await std::move(running);
    r.result.place = std::move(place);
    co_return r;
  } catch (const cancelled_error&) {
    if (current_task().cancelling() > 0) throw;
    error = std::current_exception();
  } catch (const fatal_error&) { error = std::current_exception(); } catch (...) {
    error = std::current_exception();
  }
  co_return outcome_of_error(error, std::move(place));
}

duration retry_pause(const retry_options& r, unsigned next) noexcept {
  long double ns = static_cast<long double>(r.delay.count());
  for (unsigned n = 2; n < next && ns < 1e18L; ++n) ns *= static_cast<long double>(r.factor);
  return duration(static_cast<std::int64_t>(std::clamp(ns, 0.0L, 1e18L)));
}

std::string host_name() {
  static const std::string once = [] {  // each outcome names it
    std::array<char, 256> name{};
    return std::string(::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown");
  }();
  return once;
}

}  // namespace heddle::cluster::detail
