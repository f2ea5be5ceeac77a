// SPDX-License-Identifier: MIT
// Internal to core.
// Mangled names of functions, for people: "_ZN4chat9copy_lineEi.resume" -> "chat::copy_line".
// Parameters, return types and arguments of templates are left out. Nothing is allocated, so it
// serves a dump from within; the C++ library's own demangler allocates.
#pragma once

#include <heddle/core/seeing/short_writer.h>

namespace heddle::detail::seeing {

/// Writes the name of the function whose symbol is `symbol`; the symbol itself if it is no mangled
/// name, or one that is not understood.
void put_function_name(short_writer& to, const char* symbol) noexcept;

}  // namespace heddle::detail::seeing
