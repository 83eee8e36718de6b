// SPDX-License-Identifier: Apache-2.0
// Scores of a text as JSON and as a table.
#pragma once

#include "formats/value.hpp"
#include "tools/adapters/scored_text.hpp"

#include <optional>
#include <string>

namespace stillhouse::adapters {

/// {"token_perplexity": {"value", "stderr"}, "word_perplexity", "byte_perplexity", "bits_per_byte", "tokens", "words",
/// "bytes", "context", "stride", "windows"}, words and bytes only of texts; with a reference "against": {"model",
/// "token_perplexity", "perplexity_ratio", "kl", "agreement"}; by position "positions": [{"from", "to", "perplexity",
/// "tokens"}]. Standard errors are first-order: that of exp(x) is exp(x) times that of x.
formats::Value perplexity_report(const ScoredText& text, const evaluation::Scores& scores,
                                 const ScoredTextOptions& options, bool by_position,
                                 const std::optional<std::string>& reference);

enum class Table { text, markdown };
std::string perplexity_table(const formats::Value& report, Table how);

}  // namespace stillhouse::adapters
