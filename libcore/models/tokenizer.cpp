// SPDX-License-Identifier: Apache-2.0
// The stages of encoding, one after another: UTF-8, added tokens in the raw text, normalizer, added tokens in the
// normalised text, words. Each takes text in pieces and keeps back what more text could change.
#include "libcore/models/tokenizer.hpp"

#include "libcore/models/tokenizer_normalize.hpp"
#include "libcore/models/tokenizer_tables.hpp"
#include "libcore/models/tokenizer_words.hpp"

#include <algorithm>
#include <limits>

namespace stillhouse::models {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 16;

class Encoder {
public:
    Encoder(const TokenizerTables& tables, std::size_t block, std::size_t patience)
        : raw_(tables.raw_added), normalizer_(tables.model.normalizers), normalized_(tables.normalized_added),
          cutter_(tables, block, patience), to_raw_(*this), to_words_(*this)
    {
    }

    void feed(std::string_view bytes, std::vector<Token>& ids)
    {
        ids_ = &ids;
        clean_.clear();
        sanitizer_.feed(bytes, clean_);
        raw_.feed(clean_, to_raw_);
    }

    void finish(std::vector<Token>& ids)
    {
        ids_ = &ids;
        clean_.clear();
        sanitizer_.finish(clean_);
        raw_.feed(clean_, to_raw_);
        raw_.finish(to_raw_);
        end_stretch();
    }

    Index replaced() const noexcept { return sanitizer_.replaced(); }

private:
    void end_stretch()
    {
        normalized_.feed(normalizer_.finish(), to_words_);
        normalized_.finish(to_words_);
        cutter_.finish(*ids_);
    }

    struct ToRaw final : TextSink {
        explicit ToRaw(Encoder& e) : encoder(e) {}
        void text(std::string_view part) override
        {
            encoder.normalized_.feed(encoder.normalizer_.feed(part), encoder.to_words_);
        }
        void token(Token id) override
        {
            encoder.end_stretch();
            encoder.ids_->push_back(id);
            encoder.cutter_.passed();
        }
        Encoder& encoder;
    };
    struct ToWords final : TextSink {
        explicit ToWords(Encoder& e) : encoder(e) {}
        void text(std::string_view part) override { encoder.cutter_.text(part, *encoder.ids_); }
        void token(Token id) override
        {
            encoder.cutter_.finish(*encoder.ids_);
            encoder.ids_->push_back(id);
            encoder.cutter_.passed();
        }
        Encoder& encoder;
    };

    unicode::Sanitizer sanitizer_;
    std::string clean_;
    AddedMatcher raw_;
    NormalizerChain normalizer_;
    AddedMatcher normalized_;
    Cutter cutter_;
    ToRaw to_raw_;
    ToWords to_words_;
    std::vector<Token>* ids_ = nullptr;
};

}  // namespace

Tokenizer::Tokenizer(TokenizerModel model) : tables_(std::make_unique<Tables>(std::move(model))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<Token> Tokenizer::encode(std::string_view text, Special special, Index* replaced) const
{
    std::vector<Token> ids;
    const TokenizerModel& model = tables_->model;
    if (special == Special::add) {
        ids = model.prefix;
    }
    // words are merged whole, however long: the definition that Stream has to meet
    Encoder encoder(*tables_, block_bytes, std::numeric_limits<std::size_t>::max());
    for (std::size_t at = 0; at < text.size(); at += block_bytes) {
        encoder.feed(text.substr(at, block_bytes), ids);
    }
    encoder.finish(ids);
    if (special == Special::add) {
        ids.insert(ids.end(), model.suffix.begin(), model.suffix.end());
    }
    if (replaced != nullptr) {
        *replaced += encoder.replaced();
    }
    return ids;
}

Index Tokenizer::size() const { return tables_->size; }

bool Tokenizer::has_text(Token id) const
{
    return id >= 0 && id < tables_->size && !tables_->texts[static_cast<std::size_t>(id)].empty();
}

bool Tokenizer::is_special(Token id) const
{
    return id >= 0 && id < tables_->size && tables_->special[static_cast<std::size_t>(id)];
}

Token Tokenizer::id_of(std::string_view text) const
{
    const std::string key(text);
    const auto added = tables_->added_ids.find(key);
    if (added != tables_->added_ids.end()) {
        return added->second;
    }
    const auto known = tables_->ids.find(key);
    return known == tables_->ids.end() ? -1 : known->second;
}

struct Tokenizer::Stream::State {
    State(const Tokenizer& tokenizer, Special what, Limits given)
        : tables(*tokenizer.tables_), special(what), limits(given)
    {
        limits.block = std::max<std::size_t>(limits.block, 1);
        begin();
    }
    void begin() { encoder = std::make_unique<Encoder>(tables, limits.block, limits.patience); }

    const TokenizerTables& tables;
    Special special;
    Limits limits;
    std::unique_ptr<Encoder> encoder;
    std::string block;
    bool begun = false;
    Index replaced = 0;
};

Tokenizer::Stream::Stream(const Tokenizer& tokenizer, Special special) : Stream(tokenizer, special, Limits()) {}
Tokenizer::Stream::Stream(const Tokenizer& tokenizer, Special special, Limits limits)
    : state_(std::make_unique<State>(tokenizer, special, limits))
{
}
Tokenizer::Stream::~Stream() = default;
Tokenizer::Stream::Stream(Stream&&) noexcept = default;

void Tokenizer::Stream::feed(std::string_view bytes, std::vector<Token>& ids)
{
    State& s = *state_;
    if (!s.begun && s.special == Special::add) {
        ids.insert(ids.end(), s.tables.model.prefix.begin(), s.tables.model.prefix.end());
    }
    s.begun = true;
    while (!bytes.empty()) {
        const std::size_t take = std::min(bytes.size(), s.limits.block - s.block.size());
        s.block.append(bytes.substr(0, take));
        bytes.remove_prefix(take);
        if (s.block.size() >= s.limits.block) {
            s.encoder->feed(s.block, ids);
            s.block.clear();
        }
    }
}

void Tokenizer::Stream::finish(std::vector<Token>& ids)
{
    feed({}, ids);
    State& s = *state_;
    s.encoder->feed(s.block, ids);
    s.encoder->finish(ids);
    if (s.special == Special::add) {
        ids.insert(ids.end(), s.tables.model.suffix.begin(), s.tables.model.suffix.end());
    }
    s.replaced += s.encoder->replaced();
    s.block.clear();
    s.begin();
    s.begun = false;
}

Index Tokenizer::Stream::replaced() const { return state_->replaced + state_->encoder->replaced(); }

}  // namespace stillhouse::models
