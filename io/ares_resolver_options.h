// SPDX-License-Identifier: MIT
// How an ares_resolver asks.
//
//   h::ares_resolver_options o;
//   o.servers.push_back(h::address::ip("192.0.2.53", 53));
//   h::set_resolver(h::ares_resolver::make(o));
#pragma once

#include <heddle/core/base/time_types.h>
#include <heddle/core/checked.h>
#include <heddle/io/address.h>

#include <cstddef>
#include <string>
#include <vector>

namespace heddle {

/// The order of the fields is API: fields are appended, never reordered.
struct ares_resolver_options {
  /// The servers to ask, in this order. One without a port has `port`. Empty: those that
  /// `resolv_conf` names, with all else that stands there.
  std::vector<address> servers = {};
  port_number port = 53;
  /// A server has so long for an answer when it is asked first, and twice that in the next round.
  /// From 1 ms to 1 hour.
  any_duration timeout = std::chrono::seconds(1);
  /// So often each server is asked before the look-up fails. From 1 to 10.
  unsigned tries = 2;
  /// With `servers`: domains in which a name without a dot is looked up first. Empty: it is asked
  /// for as it is.
  std::vector<std::string> search = {};
  /// These files are read when the first name is looked up. A change is seen within a second: kept
  /// answers are flushed, and look-ups under way are begun anew. "": not read.
  std::string resolv_conf = "/etc/resolv.conf";
  std::string nsswitch_conf = "/etc/nsswitch.conf";
  std::string hosts_file = "/etc/hosts";
  /// So many look-ups are under way at most, from 1 to 10,000; further ones wait. Each is two
  /// queries, and a burst of more than some 270 overflows the usual buffer of a server.
  std::size_t at_once = 128;
  /// An answer is kept for as long as it says, and for this long at most. Zero: none is kept.
  any_duration cache_for = std::chrono::hours(1);
  /// That there is no such name, or no address of that family, is kept for as long as the zone says
  /// (RFC 2308), and for this long at most. Other errors are not kept. Zero: none is kept.
  any_duration negative_for = std::chrono::minutes(5);
  /// So many answers are kept at most. Beyond that the one that ends first goes.
  std::size_t cache_most = 1000;
};

}  // namespace heddle
