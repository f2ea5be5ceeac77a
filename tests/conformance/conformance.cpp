// SPDX-License-Identifier: MIT
#include "conformance.h"

#include <algorithm>
#include <system_error>

namespace conformance {

std::string name_of(const std::exception_ptr& error) {
  if (!error) return "none";
  try {
    std::rethrow_exception(error);
  } catch (const h::cancelled_error& e) {
    return e.message().empty() ? "Cancelled" : "Cancelled: " + e.message();
  } catch (const h::interrupted_error&) { return "Interrupted"; } catch (const h::fatal_error&) {
    return "Fatal";
  } catch (const h::exception_group& g) {
    std::vector<std::string> names;
    for (const auto& e : g.exceptions()) names.push_back(name_of(e));
    std::sort(names.begin(), names.end());
    std::string all;
    for (const auto& n : names) all += (all.empty() ? "" : ",") + n;
    return "Group{" + all + "}";
  } catch (const error_e&) { return "E"; } catch (const error_f&) {
    return "F";
  } catch (const h::timeout_error&) { return "Timeout"; } catch (const h::usage_error&) {
    return "Usage";
  } catch (const h::bad_value&) { return "BadValue"; } catch (const h::invalid_state_error&) {
    return "InvalidState";
  } catch (const h::broken_promise&) {
    return "BrokenPromise";
  } catch (const h::broken_barrier_error&) { return "Broken"; } catch (const h::queue_empty&) {
    return "QEmpty";
  } catch (const h::queue_full&) { return "QFull"; } catch (const h::queue_shut_down&) {
    return "QShut";
  } catch (const h::incomplete_read_error& e) {
    return "Incomplete(" + e.partial() + "," +
           (e.expected() ? std::to_string(e.expected()) : std::string("unknown")) + ")";
  } catch (const h::limit_overrun_error& e) {
    return "LimitOverrun(" + std::to_string(e.consumed()) + ")";
  } catch (const h::no_such_process&) { return "NoProcess"; } catch (const std::system_error& e) {
    return "System(" + e.code().message() + ")";
  } catch (const std::exception& e) { return e.what(); } catch (...) {
    return "something else";
  }
}

}  // namespace conformance
