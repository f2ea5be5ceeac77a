// SPDX-License-Identifier: MIT
#include <heddle/io/http/websocket/negotiation.h>

#include <heddle/io/http/message.h>

#include <algorithm>
#include <vector>

namespace heddle::http::detail {
namespace {

constexpr std::string_view extension = "permessage-deflate";

struct parameter {
  std::string_view name;
  std::optional<std::string_view> value;
};
struct offer {
  std::string_view name;
  std::vector<parameter> parameters;
};

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes the text up to `separator`, which is dropped. A value in quotes may hold it.
std::string_view take_up_to(std::string_view& text, char separator) noexcept {
  bool quoted = false;
  std::size_t i = 0;
  while (i < text.size() && (quoted || text[i] != separator)) {
    if (text[i] == '"') quoted = !quoted;
    ++i;
  }
  const auto front = text.substr(0, i);
  text.remove_prefix(std::min(i + 1, text.size()));
  return trim(front);
}

std::vector<offer> parse_offers(std::string_view text) {
  std::vector<offer> all;
  while (!text.empty()) {
    auto one = take_up_to(text, ',');
    if (one.empty()) continue;
    offer o{take_up_to(one, ';'), {}};
    while (!one.empty()) {
      auto p = take_up_to(one, ';');
      const bool has_value = p.find('=') != std::string_view::npos;
      const auto name = take_up_to(p, '=');
      parameter made{name, {}};
      if (has_value) {
        auto value = trim(p);
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
          value = value.substr(1, value.size() - 2);
        made.value = value;
      }
      o.parameters.push_back(made);
    }
    all.push_back(std::move(o));
  }
  return all;
}

/// "8" to "15", without a leading zero. 0: the text is none of these.
int window_of(std::string_view text) noexcept {
  if (text.size() == 1 && (text[0] == '8' || text[0] == '9')) return text[0] - '0';
  if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5')
    return 10 + (text[1] - '0');
  return 0;
}

struct parameters {
  bool server_no_takeover = false;
  bool client_no_takeover = false;
  std::optional<int> server_window;
  std::optional<int> client_window;  // 0: named without a value
};

/// Nothing: a parameter is unknown, repeated, or has a value that it cannot have.
std::optional<parameters> understand(const offer& o, bool client_window_may_be_bare) {
  parameters all;
  for (const auto& p : o.parameters) {
    const bool is_takeover = p.name == "server_no_context_takeover";
    if (is_takeover || p.name == "client_no_context_takeover") {
      bool& flag = is_takeover ? all.server_no_takeover : all.client_no_takeover;
      if (flag || p.value) return {};
      flag = true;
      continue;
    }
    const bool is_server = p.name == "server_max_window_bits";
    if (!is_server && p.name != "client_max_window_bits") return {};
    auto& window = is_server ? all.server_window : all.client_window;
    if (window) return {};
    const int bits = p.value ? window_of(*p.value) : 0;
    const bool bare = !p.value && !is_server && client_window_may_be_bare;
    if (bits == 0 && !bare) return {};
    window = bits;
  }
  return all;
}

std::string text_of(const parameters& p) {
  std::string text(extension);
  if (p.server_no_takeover) text += "; server_no_context_takeover";
  if (p.client_no_takeover) text += "; client_no_context_takeover";
  if (p.server_window) text += "; server_max_window_bits=" + std::to_string(*p.server_window);
  if (p.client_window) {
    text += "; client_max_window_bits";
    if (*p.client_window != 0) text += "=" + std::to_string(*p.client_window);
  }
  return text;
}

}  // namespace

std::string deflate_offer(const ws_deflate& wish) {
  parameters p;
  p.client_no_takeover = !wish.takeover;
  p.server_no_takeover = !wish.takeover;
  p.client_window = 0;
  if (wish.window < 15) p.server_window = wish.window;
  return text_of(p);
}

std::optional<deflate_choice> choose_deflate(std::string_view offers, const ws_deflate& wish) {
  for (const auto& o : parse_offers(offers)) {
    if (!same_token(o.name, extension)) continue;
    auto p = understand(o, true);
    if (!p || p->server_window == 8) continue;
    parameters answer;
    deflate_choice choice;
    auto& terms = choice.terms;
    terms.own_window = std::min(p->server_window.value_or(15), wish.window);
    if (p->server_window || terms.own_window < 15) answer.server_window = terms.own_window;
    answer.server_no_takeover = p->server_no_takeover || !wish.takeover;
    terms.own_takeover = !answer.server_no_takeover;
    answer.client_no_takeover = p->client_no_takeover || !wish.takeover;
    if (p->client_window) {
      const int theirs = *p->client_window == 0 ? 15 : *p->client_window;
      terms.their_window = std::min(theirs, wish.window);
      answer.client_window = terms.their_window;
    } else if (wish.window < 15) {
      // The client cannot take a smaller window. So that its connection costs no more while it is
      // idle, its messages stand for themselves.
      answer.client_no_takeover = true;
    }
    terms.their_takeover = !answer.client_no_takeover;
    choice.answer = text_of(answer);
    return choice;
  }
  return {};
}

const char* accept_deflate(std::string_view answer, const ws_deflate& wish, deflate_terms& terms) {
  const auto all = parse_offers(answer);
  if (all.size() != 1) return "the server names more than one extension";
  if (!same_token(all[0].name, extension)) return "the server names an extension not offered";
  const auto p = understand(all[0], false);
  if (!p) return "the server's parameters of permessage-deflate are wrong";
  if (p->client_window == 8) return "the server wants a window of 8 bits, which zlib has not";
  terms.own_window = std::min(p->client_window.value_or(15), wish.window);
  terms.their_window = p->server_window.value_or(15);
  if (wish.window < 15 && terms.their_window > wish.window)
    return "the server's window is greater than was offered";
  if (!wish.takeover && !p->server_no_takeover)
    return "the server takes context over, which was not offered";
  terms.own_takeover = wish.takeover && !p->client_no_takeover;
  terms.their_takeover = !p->server_no_takeover;
  return nullptr;
}

}  // namespace heddle::http::detail
