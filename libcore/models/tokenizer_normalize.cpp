// SPDX-License-Identifier: Apache-2.0
// Normalizer steps in pieces.
#include "libcore/models/tokenizer_normalize.hpp"

#include "libcore/models/unicode.hpp"

#include <algorithm>
#include <cstring>

namespace stillhouse::models {
namespace {

/// Where the first character begins that NFC may be cut before.
std::size_t first_boundary(std::string_view text)
{
    std::size_t i = 0;
    while (i < text.size() && !unicode::tables().is_nfc_boundary(unicode::decode(text.data() + i))) {
        i += static_cast<std::size_t>(unicode::length_of(text[i]));
    }
    return i;
}

}  // namespace

void NormalizerStep::feed(std::string_view text, std::string& to)
{
    if (text.empty()) {
        return;
    }
    switch (what_.kind) {
    case TokenizerModel::Normalizer::Kind::prepend:
        if (!begun_) {
            to.append(what_.to);
        }
        to.append(text);
        break;
    case TokenizerModel::Normalizer::Kind::nfc:
    case TokenizerModel::Normalizer::Kind::replace: {
        const bool is_nfc = what_.kind == TokenizerModel::Normalizer::Kind::nfc;
        if (is_nfc && !held_.empty() && first_boundary(text) == text.size()) {
            held_.append(text);   // still inside the region that is kept back: not looked at again and again
            break;
        }
        std::string joined;
        if (!held_.empty()) {
            joined = std::move(held_);
            held_.clear();
            joined.append(text);
            text = joined;
        }
        is_nfc ? nfc(text, false, to) : replace(text, false, to);
        break;
    }
    }
    begun_ = true;
}

void NormalizerStep::finish(std::string& to)
{
    if (!held_.empty()) {
        const std::string rest = std::move(held_);
        held_.clear();
        what_.kind == TokenizerModel::Normalizer::Kind::nfc ? nfc(rest, true, to) : replace(rest, true, to);
    }
    begun_ = false;
}

// Only regions that hold a character which NFC may change or join to its left are normalised; the rest is NFC as it is.
// Safe cuts: NFC(a + b) = NFC(a) + NFC(b) when b begins with a boundary (Unicode Standard Annex 15, section 9: a
// character of combining class 0 that no canonical composition takes to its left, which is what quick check Yes says),
// for such a character is neither moved nor joined to a, and, being a starter, blocks whatever follows it from a.
void NormalizerStep::nfc(std::string_view text, bool final, std::string& to)
{
    const unicode::Tables& table = unicode::tables();
    std::size_t done = 0, boundary = 0;   // boundary: the last character that may be cut before
    std::size_t i = 0;
    while (i < text.size()) {
        if (i + 8 < text.size()) {        // ASCII is all boundaries
            std::uint64_t eight;
            std::memcpy(&eight, text.data() + i, 8);
            if ((eight & 0x8080808080808080U) == 0) {
                boundary = i + 7;
                i += 8;
                continue;
            }
        }
        const auto length = static_cast<std::size_t>(unicode::length_of(text[i]));
        if (static_cast<unsigned char>(text[i]) < 0xCC || table.is_nfc_boundary(unicode::decode(text.data() + i))) {
            boundary = i;
            i += length;
            continue;
        }
        std::size_t end = i + length;
        while (end < text.size() && !table.is_nfc_boundary(unicode::decode(text.data() + end))) {
            end += static_cast<std::size_t>(unicode::length_of(text[end]));
        }
        if (end == text.size() && !final) {
            break;
        }
        to.append(text.substr(done, boundary - done));
        unicode::append_nfc(to, text.substr(boundary, end - boundary));
        done = boundary = i = end;
    }
    if (final) {
        to.append(text.substr(done));
        return;
    }
    to.append(text.substr(done, boundary - done));
    held_.assign(text.substr(boundary));
}

void NormalizerStep::replace(std::string_view text, bool final, std::string& to)
{
    std::size_t done = 0;
    for (std::size_t at; (at = text.find(what_.from, done)) != std::string_view::npos;) {
        to.append(text.substr(done, at - done)).append(what_.to);
        done = at + what_.from.size();
    }
    std::size_t end = text.size();
    if (!final) {   // the pattern may begin in what is left; cut between characters
        end = std::max(done, text.size() - std::min(text.size(), what_.from.size() - 1));
        while (end > done && end < text.size() && unicode::continues(text[end])) {
            --end;
        }
    }
    to.append(text.substr(done, end - done));
    held_.assign(text.substr(end));
}

std::string_view NormalizerChain::run(std::string_view text, bool final)
{
    std::size_t which = 0;
    for (NormalizerStep& step : steps_) {
        std::string& to = scratch_[which];
        to.clear();
        step.feed(text, to);
        if (final) {
            step.finish(to);
        }
        text = to;
        which ^= 1;
    }
    return text;
}

}  // namespace stillhouse::models
