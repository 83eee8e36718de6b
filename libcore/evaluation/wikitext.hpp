// SPDX-License-Identifier: Apache-2.0
// WikiText by document, as lm-evaluation-harness has it: pages, detokenised text, and the counts of the original.
#pragma once

#include "libcore/base/shape.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::evaluation {

/// A page of the file: a line begins one that, after "= = =" -> "===" and "= =" -> "==" and stripping, starts with "= "
/// and ends with " =". Lines are joined by "\n" ("\r\n" and "\r" end lines too); blank text before a page is dropped.
struct Page {
    std::string text;         // as it stands in the file
    Index words = 0;          // pieces between white space, an empty first and last one among them
    Index bytes = 0;          // of `text`, in UTF-8
};
std::vector<Page> wikitext_pages(std::string_view file);

/// The harness' list of replacements, in its order: spaces around punctuation, brackets, quotes and heading marks go.
std::string wikitext_detokenized(std::string_view page);

}  // namespace stillhouse::evaluation
