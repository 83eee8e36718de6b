// SPDX-License-Identifier: Apache-2.0
// The normalizer steps of a tokenizer on a text that arrives in pieces. Internal to the tokenizer.
#pragma once

#include "libcore/base/tokenizer_model.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::models {

/// One step; texts are whole characters. `finish` ends a stretch, after which another may begin.
class NormalizerStep {
public:
    explicit NormalizerStep(const TokenizerModel::Normalizer& what) : what_(what) {}
    void feed(std::string_view text, std::string& to);
    void finish(std::string& to);

private:
    void nfc(std::string_view text, bool final, std::string& to);
    void replace(std::string_view text, bool final, std::string& to);

    const TokenizerModel::Normalizer& what_;
    std::string held_;      // nfc: from the last safe boundary on; replace: less than the pattern
    bool begun_ = false;
};

/// All steps. Memory: nfc keeps one character and the marks that follow it, so it grows only with an endless run of
/// characters that join or reorder (marks, Hangul vowels): there no earlier cut would be right.
class NormalizerChain {
public:
    explicit NormalizerChain(const std::vector<TokenizerModel::Normalizer>& steps)
        : steps_(steps.begin(), steps.end()), scratch_(2)
    {
    }
    /// The view is good until the next call.
    std::string_view feed(std::string_view text) { return run(text, false); }
    std::string_view finish() { return run({}, true); }

private:
    std::string_view run(std::string_view text, bool final);
    std::vector<NormalizerStep> steps_;
    std::vector<std::string> scratch_;
};

}  // namespace stillhouse::models
