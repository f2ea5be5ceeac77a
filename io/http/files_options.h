// SPDX-License-Identifier: MIT
// How the files below a directory are answered with.
//
//   http::files_options how;
//   how.listing = true;
//   r.files("/f/", directory, std::move(how));
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace heddle::http {

/// The order of the fields is API: fields are appended, never reordered.
struct files_options {
  /// What a directory is answered with: the first of these files that is in it.
  std::vector<std::string> index = {"index.html"};
  /// True: a directory without such a file is answered with a page of its entries, sorted by the
  /// bytes of their names. Left out are names that begin with a dot, and what could not be asked
  /// for: sockets, devices, links that lead out.
  /// Cost  reads the whole directory for each request
  bool listing = false;
  /// So many entries are on such a page, the first ones. The page says so if there are more.
  std::size_t listing_limit = 10'000;
  /// True: "x.js.br", "x.js.zst" or "x.js.gz" is sent for "x.js" if it lies beside it and the
  /// client accepts that coding. It has the type of x.js, its Content-Encoding, and its own ETag.
  /// Not looked for where the type is packed by itself, such as image/png. Where it would be looked
  /// for, all answers say Vary: Accept-Encoding.
  /// Cost  a look-up for each coding that the client accepts
  bool precompressed = true;
};

}  // namespace heddle::http
