// SPDX-License-Identifier: Apache-2.0
// WikiText by document, as lm-evaluation-harness has it: pages, detokenised text, and the counts of the original.
#include "libcore/evaluation/wikitext.hpp"

#include "libcore/evaluation/white_space.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stillhouse::evaluation {

namespace {

bool is_heading(std::string_view line)
{
    if (line.find('=') == std::string_view::npos) {
        return false;
    }
    const std::string short_marks = replaced(replaced(line, "= = =", "==="), "= =", "==");
    const std::string_view stripped = strip(short_marks);
    return stripped.starts_with("= ") && stripped.ends_with(" =");
}

/// open \s* ([^close]*?) \s* close -> open \1 close, left to right.
std::string tightened(std::string_view text, char open, char close)
{
    std::string result;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t begin = text.find(open, at);
        const std::size_t end = begin == std::string_view::npos ? begin : text.find(close, begin + 1);
        if (end == std::string_view::npos) {
            break;
        }
        result.append(text.substr(at, begin + 1 - at));
        result.append(strip(text.substr(begin + 1, end - begin - 1)));
        result += close;
        at = end + 1;
    }
    return result.append(text.substr(std::min(at, text.size())));
}

/// "/' 7/" -> "/'[0-9]/": what the harness' pattern for contractions in fact does.
std::string odd_contractions(std::string text)
{
    for (std::size_t at = 0; (at = text.find("/' ", at)) != std::string::npos;) {
        if (at + 4 < text.size() && text[at + 3] >= '0' && text[at + 3] <= '9' && text[at + 4] == '/') {
            text.replace(at, 5, "/'[0-9]/");
            at += 8;
        } else {
            ++at;
        }
    }
    return text;
}

using Replacement = std::pair<std::string_view, std::string_view>;

template <std::size_t n>
std::string all_replaced(std::string text, const std::array<Replacement, n>& replacements)
{
    for (const auto& [from, to] : replacements) {
        text = replaced(text, from, to);
    }
    return text;
}

constexpr std::array<Replacement, 9> separators{{{" @-@ ", "-"},
                                                 {" @,@ ", ","},
                                                 {" @.@ ", "."},
                                                 {" : ", ": "},
                                                 {" ; ", "; "},
                                                 {" . ", ". "},
                                                 {" ! ", "! "},
                                                 {" ? ", "? "},
                                                 {" , ", ", "}}};
constexpr std::array<Replacement, 8> others{{{"= = = =", "===="},
                                             {"= = =", "==="},
                                             {"= =", "=="},
                                             {" \xC2\xB0 ", "\xC2\xB0"},
                                             {" \n", "\n"},
                                             {"\n ", "\n"},
                                             {" N ", " 1 "},
                                             {" 's", "'s"}}};

}  // namespace

std::vector<Page> wikitext_pages(std::string_view file)
{
    std::vector<Page> pages;
    std::string page;
    bool begun = false;
    const auto end_page = [&] {
        if (!strip(page).empty()) {
            const auto bytes = static_cast<Index>(page.size());
            const Index words = count_pieces(page);
            pages.push_back({std::exchange(page, {}), words, bytes});
        }
        page.clear();
        begun = false;
    };
    for (std::size_t at = 0; at <= file.size();) {
        const std::size_t end = std::min(file.find_first_of("\r\n", at), file.size());
        const std::string_view line = file.substr(at, end - at);
        if (is_heading(line)) {
            end_page();
        }
        if (begun) {
            page += '\n';
        }
        page += line;
        begun = true;
        at = end + (file.substr(end, 2) == "\r\n" ? 2 : 1);
    }
    end_page();
    return pages;
}

std::string wikitext_detokenized(std::string_view page)
{
    std::string text = odd_contractions(replaced(page, "s '", "s'"));
    text = all_replaced(std::move(text), separators);
    text = tightened(text, '(', ')');
    text = tightened(text, '[', ']');
    text = tightened(text, '{', '}');
    text = tightened(text, '"', '"');
    text = tightened(text, '\'', '\'');
    return all_replaced(std::move(text), others);
}

}  // namespace stillhouse::evaluation
