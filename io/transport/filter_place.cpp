// SPDX-License-Identifier: MIT
#include <heddle/io/transport/filter_place.h>

#include <heddle/core/record/task_record.h>

namespace heddle::detail {

std::size_t put_above(filter_place& old, filter_place& place, std::string& unsealed,
                      std::string_view opened) {
  std::string plain(old.unsealed());
  plain.append(unsealed).append(place.sealed);
  std::string sealed;
  for (std::string_view rest = plain; !rest.empty();) {
    const auto n = old.the->seal(rest, sealed);
    if (n == 0) throw_usage("a filter cannot be set above one that is not ready");
    rest.remove_prefix(n);
  }
  place.the->go_above(old.the, opened);
  place.sealed = old.sealed + sealed;
  old.sealed.clear();
  old.plain.clear();
  old.plain_at = 0;
  unsealed.clear();
  return sealed.size();
}

}  // namespace heddle::detail
