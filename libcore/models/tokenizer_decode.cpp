// SPDX-License-Identifier: Apache-2.0
// Ids back to text, one id at a time; the whole is the sum of its parts.
#include "libcore/models/tokenizer_tables.hpp"

#include <charconv>

namespace stillhouse::models {
namespace {

using Kind = TokenizerModel::Decoder::Kind;

/// The byte of "<0xNN>", -1 for other texts.
int byte_token(std::string_view text)
{
    unsigned value = 0;
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') {
        return -1;
    }
    const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
    return error == std::errc() && end == text.data() + 5 ? static_cast<int>(value) : -1;
}

void replace_all(std::string& text, const std::string& from, const std::string& to)
{
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
        text.replace(at, from.size(), to);
    }
}

void strip(std::string& text, const TokenizerModel::Decoder& step)
{
    for (int i = 0; i < step.start && text.starts_with(step.from); ++i) {
        text.erase(0, step.from.size());
    }
    for (int i = 0; i < step.stop && text.ends_with(step.from); ++i) {
        text.resize(text.size() - step.from.size());
    }
}

}  // namespace

struct Tokenizer::Printer::State {
    State(const Tokenizer& tokenizer, bool skip) : tables(*tokenizer.tables_), skip_special(skip)
    {
        for (const TokenizerModel::Decoder& step : tables.model.decoders) {
            steps.push_back({step, true, step.start, {}, {}, {}, fused});
            fused = fused || step.kind == Kind::fuse || step.kind == Kind::byte_level;
        }
    }

    /// A decoder step and what it remembers. After `fuse` or `byte_level` all tokens are one text.
    struct Step {
        TokenizerModel::Decoder what;
        bool first;                    // no token has passed yet
        int may_strip;                 // of a fused text: how many more at its start
        std::string bytes;             // byte_fallback: a run of byte tokens
        unicode::Sanitizer sanitizer;  // byte_level
        std::string tail;              // strip of a fused text: what may be its end
        bool fused;
    };

    void pass(std::string text, std::size_t which, std::string& out)
    {
        for (; which < steps.size(); ++which) {
            Step& step = steps[which];
            switch (step.what.kind) {
            case Kind::byte_level: {
                std::string clean;
                step.sanitizer.feed(text, clean);
                text = std::move(clean);
                break;
            }
            case Kind::byte_fallback: {
                const int byte = byte_token(text);
                if (byte >= 0) {
                    step.bytes.push_back(static_cast<char>(byte));
                    return;
                }
                flush_bytes(which, out);
                break;
            }
            case Kind::metaspace:
                replace_all(text, step.what.from, step.first && step.what.first_only ? "" : " ");
                break;
            case Kind::replace: replace_all(text, step.what.from, step.what.to); break;
            case Kind::fuse: break;
            case Kind::strip:
                if (step.fused) {
                    strip_fused(step, text);
                } else {
                    strip(text, step.what);
                }
                break;
            }
            step.first = false;
        }
        out.append(text);
    }

    /// A run of byte tokens is text if all of it is; else every byte becomes U+FFFD.
    void flush_bytes(std::size_t which, std::string& out)
    {
        const std::string bytes = std::exchange(steps[which].bytes, {});
        if (bytes.empty()) {
            return;
        }
        unicode::Sanitizer sanitizer;
        std::string clean;
        sanitizer.feed(bytes, clean);
        sanitizer.finish(clean);
        if (sanitizer.replaced() == 0) {
            pass(clean, which + 1, out);
        } else {
            for (std::size_t i = 0; i < bytes.size(); ++i) {
                pass("\xEF\xBF\xBD", which + 1, out);
            }
        }
    }

    static void strip_fused(Step& step, std::string& text)
    {
        const std::string& mark = step.what.from;
        while (step.may_strip > 0 && text.starts_with(mark)) {
            text.erase(0, mark.size());
            --step.may_strip;
        }
        if (!text.empty()) {
            step.may_strip = 0;
        }
        if (step.what.stop > 0) {   // keep back what may be stripped at the end
            step.tail.append(text);
            std::size_t keep = 0;
            for (int i = 0; i < step.what.stop
                            && std::string_view(step.tail).substr(0, step.tail.size() - keep).ends_with(mark); ++i) {
                keep += mark.size();
            }
            text = step.tail.substr(0, step.tail.size() - keep);
            step.tail.erase(0, step.tail.size() - keep);
        }
    }

    void put(Token id, std::string& out)
    {
        const auto place = static_cast<std::size_t>(id);
        if (id < 0 || id >= tables.size || tables.texts[place].empty() || (skip_special && tables.special[place])) {
            return;
        }
        if (!tables.model.has_decoder) {
            if (!first) {
                out.push_back(' ');
            }
            first = false;
            out.append(tables.texts[place]);
            return;
        }
        pass(tables.decoded.empty() ? tables.texts[place] : tables.decoded[place], 0, out);
    }

    void finish(std::string& out)
    {
        for (std::size_t i = 0; i < steps.size(); ++i) {
            if (steps[i].what.kind == Kind::byte_fallback) {
                flush_bytes(i, out);
            } else if (steps[i].what.kind == Kind::byte_level) {
                std::string clean;
                steps[i].sanitizer.finish(clean);
                if (!clean.empty()) {
                    pass(clean, i + 1, out);
                }
            }
            steps[i].tail.clear();
        }
    }

    const TokenizerTables& tables;
    bool skip_special;
    bool first = true;
    bool fused = false;
    std::vector<Step> steps;
};

Tokenizer::Printer::Printer(const Tokenizer& tokenizer, bool skip_special)
    : state_(std::make_unique<State>(tokenizer, skip_special))
{
}
Tokenizer::Printer::~Printer() = default;
Tokenizer::Printer::Printer(Printer&&) noexcept = default;

std::string Tokenizer::Printer::put(Token id)
{
    std::string out;
    state_->put(id, out);
    return out;
}

std::string Tokenizer::Printer::finish()
{
    std::string out;
    state_->finish(out);
    return out;
}

std::string Tokenizer::decode(const std::vector<Token>& ids, bool skip_special) const
{
    Printer printer(*this, skip_special);
    std::string text;
    for (const Token id : ids) {
        text.append(printer.put(id));
    }
    text.append(printer.finish());
    return text;
}

}  // namespace stillhouse::models
