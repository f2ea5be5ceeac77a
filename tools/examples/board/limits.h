// SPDX-License-Identifier: MIT
// What one board may cost. A text that refuses something names the limit.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace board::limits {

using namespace std::chrono_literals;

// Talking.
inline constexpr std::size_t rooms = 200;
inline constexpr std::size_t guests = 1000;        // WebSockets and other connections
inline constexpr std::size_t room_name = 32;       // bytes
inline constexpr std::size_t guest_name = 40;      // bytes
inline constexpr std::size_t text = 2000;          // bytes of one message
inline constexpr std::size_t frame = 16 * 1024;    // bytes of one WebSocket message
inline constexpr auto pace = 50ms;                 // between two messages of one guest
inline constexpr std::size_t unsent = 512 * 1024;  // bytes that wait for one slow guest

// History.
inline constexpr std::size_t kept = 100;               // messages that a newcomer gets
inline constexpr std::size_t line = 8 * 1024;          // bytes of a message as JSON
inline constexpr std::uint64_t history = 4 * 1048576;  // bytes of one file; two for each room

// Uploads.
inline constexpr std::size_t file_name = 120;                    // bytes
inline constexpr std::uint64_t upload = 64 * 1048576;            // bytes of one file, with its form
inline constexpr std::uint64_t all_uploads = 2048 * 1048576ULL;  // bytes of all

// Upstreams.
inline constexpr std::size_t upstreams = 16;
inline constexpr std::size_t upstream_bytes = 64 * 1024;
inline constexpr auto upstream_time = 2s;

}  // namespace board::limits
