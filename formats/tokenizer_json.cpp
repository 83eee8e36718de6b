// SPDX-License-Identifier: Apache-2.0
// Reading tokenizer.json.
#include "formats/tokenizer_json.hpp"

#include "formats/json.hpp"
#include "libcore/base/error.hpp"

#include <algorithm>
#include <limits>

namespace stillhouse::formats {
namespace {

constexpr Token most_ids = 1 << 24;   // no vocabulary is near; keeps a bad id from asking for memory

[[noreturn]] void refuse(const std::string& what, const std::string& found, const char* supported)
{
    throw_error(ErrorCode::unsupported, what + " " + found + " is not supported; supported are " + supported);
}

[[noreturn]] void malformed(const std::string& what)
{
    throw_error(ErrorCode::bad_data, what);
}

const Value& need(const Value& object, const char* key, const std::string& where)
{
    const Value* value = object.find(key);
    if (value == nullptr) {
        malformed(where + " has no '" + key + "'");
    }
    return *value;
}

/// The value of a key, or null when it is absent or null.
const Value* given(const Value& object, const char* key)
{
    const Value* value = object.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
}

bool flag(const Value& object, const char* key, bool otherwise)
{
    const Value* value = given(object, key);
    return value == nullptr ? otherwise : value->boolean();
}

std::string kind_of(const Value& part, const std::string& where) { return need(part, "type", where).text(); }

Token read_id(const Value& value, const std::string& where)
{
    const std::int64_t id = value.integer();
    if (id < 0 || id >= most_ids) {
        malformed(where + " has id " + std::to_string(id) + ", which is not in 0.." + std::to_string(most_ids - 1));
    }
    return static_cast<Token>(id);
}

/// {"String": "..."}; a regular expression is refused.
std::string literal_pattern(const Value& part, const std::string& where)
{
    const Value& pattern = need(part, "pattern", where);
    const Value* text = pattern.find("String");
    if (text == nullptr) {
        const Value* expression = pattern.find("Regex");
        refuse(where + " with the pattern", expression == nullptr ? "given" : "'" + expression->text() + "'",
               "patterns that are strings");
    }
    if (text->text().empty()) {
        malformed(where + " has an empty pattern");
    }
    return text->text();
}

// ---- model ------------------------------------------------------------------------------------------------------

void read_vocabulary(const Value& model, TokenizerModel& to)
{
    for (const auto& [text, value] : need(model, "vocab", "the model").map()) {
        const Token id = read_id(value, "vocabulary entry '" + text + "'");
        const auto place = static_cast<std::size_t>(id);
        if (place >= to.vocabulary.size()) {
            to.vocabulary.resize(place + 1);
        }
        if (!to.vocabulary[place].empty()) {
            malformed("vocabulary entries '" + to.vocabulary[place] + "' and '" + text + "' both have id "
                      + std::to_string(id));
        }
        to.vocabulary[place] = text;
    }
}

void read_merges(const Value& model, TokenizerModel& to)
{
    const List& merges = need(model, "merges", "the model").list();
    to.merges.reserve(merges.size());
    for (const Value& merge : merges) {
        const std::string where = "merge " + std::to_string(to.merges.size());
        if (const auto* line = std::get_if<std::string>(&merge.kind())) {
            const std::size_t space = line->find(' ');
            if (space == std::string::npos || line->find(' ', space + 1) != std::string::npos) {
                malformed(where + " is '" + *line + "'; expected two texts with one space between");
            }
            to.merges.emplace_back(line->substr(0, space), line->substr(space + 1));
        } else {
            const List& pair = merge.list();
            if (pair.size() != 2) {
                malformed(where + " has " + std::to_string(pair.size()) + " parts; expected 2");
            }
            to.merges.emplace_back(pair[0].text(), pair[1].text());
        }
    }
}

void read_model(const Value& model, TokenizerModel& to)
{
    // files of before 2020 leave the type out; BPE alone has merges
    const Value* type = given(model, "type");
    const std::string kind = type != nullptr                        ? type->text()
                             : model.find("merges") != nullptr      ? "BPE"
                             : model.find("max_input_chars_per_word") ? "WordPiece"
                                                                      : "without a type";
    if (kind != "BPE") {
        refuse("model", kind, "BPE (byte-level, or with byte fallback)");
    }
    if (const Value* dropout = given(model, "dropout"); dropout != nullptr && dropout->number() != 0) {
        refuse("model with", "dropout", "models without");
    }
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        if (const Value* text = given(model, affix); text != nullptr && !text->text().empty()) {
            refuse(std::string("model with ") + affix, "'" + text->text() + "'", "models without");
        }
    }
    to.fuse_unknown = flag(model, "fuse_unk", false);
    to.byte_fallback = flag(model, "byte_fallback", false);
    to.ignore_merges = flag(model, "ignore_merges", false);
    read_vocabulary(model, to);
    read_merges(model, to);
    if (const Value* unknown = given(model, "unk_token")) {
        const auto found = std::find(to.vocabulary.begin(), to.vocabulary.end(), unknown->text());
        if (found == to.vocabulary.end() || unknown->text().empty()) {
            malformed("unk_token '" + unknown->text() + "' is not in the vocabulary");
        }
        to.unknown = static_cast<Token>(found - to.vocabulary.begin());
    }
}

void read_added(const Value& file, TokenizerModel& to)
{
    const Value* tokens = given(file, "added_tokens");
    if (tokens == nullptr) {
        return;
    }
    for (const Value& token : tokens->list()) {
        TokenizerModel::Added added;
        added.text = need(token, "content", "an added token").text();
        added.id = read_id(need(token, "id", "added token '" + added.text + "'"), "added token '" + added.text + "'");
        added.special = flag(token, "special", false);
        added.normalized = flag(token, "normalized", !added.special);
        added.single_word = flag(token, "single_word", false);
        added.lstrip = flag(token, "lstrip", false);
        added.rstrip = flag(token, "rstrip", false);
        to.added.push_back(std::move(added));
    }
}

// ---- normalizer and pre-tokenizer ---------------------------------------------------------------------------------

void read_normalizer(const Value& part, TokenizerModel& to)
{
    using Kind = TokenizerModel::Normalizer::Kind;
    const std::string kind = kind_of(part, "the normalizer");
    if (kind == "Sequence") {
        for (const Value& step : need(part, "normalizers", "the normalizer Sequence").list()) {
            read_normalizer(step, to);
        }
    } else if (kind == "NFC") {
        to.normalizers.push_back({Kind::nfc, {}, {}});
    } else if (kind == "Prepend") {
        to.normalizers.push_back({Kind::prepend, {}, need(part, "prepend", "normalizer Prepend").text()});
    } else if (kind == "Replace") {
        to.normalizers.push_back({Kind::replace, literal_pattern(part, "normalizer Replace"),
                                  need(part, "content", "normalizer Replace").text()});
    } else {
        refuse("normalizer", kind, "NFC, Prepend, Replace, Sequence");
    }
}

constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view llama3_pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                                            R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view qwen2_pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                                           R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr const char* pre_tokenizers = "null, ByteLevel, Metaspace, and Split by the patterns of GPT-2, Llama 3 or "
                                       "Qwen 2 followed by ByteLevel";

void read_split(const Value& part, TokenizerModel& to)
{
    const Value* expression = need(part, "pattern", "pre-tokenizer Split").find("Regex");
    const std::string pattern = expression == nullptr ? "that is no regular expression" : expression->text();
    using Split = TokenizerModel::Split;
    to.split = pattern == gpt2_pattern     ? Split::gpt2
               : pattern == llama3_pattern ? Split::llama3
               : pattern == qwen2_pattern  ? Split::qwen2
                                           : Split::none;
    if (to.split == Split::none) {
        refuse("pre-tokenizer Split with the pattern", pattern, pre_tokenizers);
    }
    const std::string behavior = need(part, "behavior", "pre-tokenizer Split").text();
    // the patterns match everything, so that Removed with invert keeps the same pieces
    const bool inverted = flag(part, "invert", false);
    if (!(behavior == "Isolated" && !inverted) && !(behavior == "Removed" && inverted)) {
        refuse("pre-tokenizer Split with", "behavior " + behavior, "Isolated");
    }
}

void read_byte_level(const Value& part, TokenizerModel& to)
{
    const bool prefix = flag(part, "add_prefix_space", true);
    const bool pattern = flag(part, "use_regex", true);
    if (to.split != TokenizerModel::Split::none && (prefix || pattern)) {
        refuse("pre-tokenizer Split followed by ByteLevel with", prefix ? "add_prefix_space" : "use_regex",
               "the same without it");
    }
    if (pattern) {
        to.split = TokenizerModel::Split::gpt2;
    }
    to.kind = TokenizerModel::Kind::byte_level;
    to.add_prefix_space = prefix;
}

/// "always", "first", "never"; older files say add_prefix_space.
TokenizerModel::Prepend prepend_scheme(const Value& part)
{
    using Prepend = TokenizerModel::Prepend;
    const Value* scheme = given(part, "prepend_scheme");
    if (scheme == nullptr) {
        return flag(part, "add_prefix_space", true) ? Prepend::always : Prepend::never;
    }
    const std::string& name = scheme->text();
    if (name != "always" && name != "first" && name != "never") {
        malformed("Metaspace has prepend_scheme '" + name + "'; expected always, first or never");
    }
    return name == "always" ? Prepend::always : name == "first" ? Prepend::first : Prepend::never;
}

std::string metaspace_mark(const Value& part)
{
    const std::string mark = need(part, "replacement", "Metaspace").text();
    const auto is_lead = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
    if (std::count_if(mark.begin(), mark.end(), is_lead) != 1 || mark == " ") {
        malformed("Metaspace has the replacement '" + mark + "'; expected one character");
    }
    return mark;
}

void read_pre_tokenizer(const Value& part, TokenizerModel& to)
{
    const std::string kind = kind_of(part, "the pre-tokenizer");
    if (kind == "Sequence") {
        const List& steps = need(part, "pretokenizers", "the pre-tokenizer Sequence").list();
        std::string names;
        for (const Value& step : steps) {
            names += (names.empty() ? "" : ", ") + kind_of(step, "a pre-tokenizer");
        }
        if (steps.size() > 1 && names != "Split, ByteLevel") {
            refuse("pre-tokenizer Sequence", "[" + names + "]", pre_tokenizers);
        }
        for (const Value& step : steps) {
            kind_of(step, "a pre-tokenizer") == "Split" && steps.size() == 2 ? read_split(step, to)
                                                                            : read_pre_tokenizer(step, to);
        }
    } else if (kind == "ByteLevel") {
        read_byte_level(part, to);
    } else if (kind == "Metaspace") {
        to.metaspace = metaspace_mark(part);
        to.metaspace_prepend = prepend_scheme(part);
        to.split = flag(part, "split", true) ? TokenizerModel::Split::metaspace : TokenizerModel::Split::none;
    } else {
        refuse("pre-tokenizer", kind, pre_tokenizers);
    }
}

// ---- post-processor -----------------------------------------------------------------------------------------------

void read_template(const Value& part, TokenizerModel& to)
{
    const std::string where = "post-processor TemplateProcessing";
    bool before = true;
    std::vector<Token> prefix, suffix;
    for (const Value& piece : need(part, "single", where).list()) {
        if (piece.find("Sequence") != nullptr) {
            if (!before) {
                malformed(where + " names the text twice");
            }
            before = false;
            continue;
        }
        const std::string& name = need(need(piece, "SpecialToken", where), "id", where).text();
        const Value& token = need(need(part, "special_tokens", where), name.c_str(), where);
        for (const Value& id : need(token, "ids", where).list()) {
            (before ? prefix : suffix).push_back(read_id(id, where));
        }
    }
    if (before) {
        malformed(where + " has no place for the text");
    }
    to.prefix.insert(to.prefix.begin(), prefix.begin(), prefix.end());
    to.suffix.insert(to.suffix.end(), suffix.begin(), suffix.end());
}

void read_post_processor(const Value& part, TokenizerModel& to)
{
    const std::string kind = kind_of(part, "the post-processor");
    const auto token_of = [&](const char* key) {   // ["</s>", 2]
        const List& pair = need(part, key, "post-processor " + kind).list();
        if (pair.size() != 2) {
            malformed("post-processor " + kind + ": '" + key + "' is not a text and an id");
        }
        return read_id(pair[1], "post-processor " + kind);
    };
    if (kind == "Sequence") {
        for (const Value& step : need(part, "processors", "the post-processor Sequence").list()) {
            read_post_processor(step, to);
        }
    } else if (kind == "TemplateProcessing") {
        read_template(part, to);
    } else if (kind == "BertProcessing" || kind == "RobertaProcessing") {
        to.prefix.insert(to.prefix.begin(), token_of("cls"));
        to.suffix.push_back(token_of("sep"));
    } else if (kind != "ByteLevel") {   // which changes offsets only
        refuse("post-processor", kind,
               "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing, Sequence");
    }
}

// ---- decoder ------------------------------------------------------------------------------------------------------

void read_decoder(const Value& part, TokenizerModel& to)
{
    using Kind = TokenizerModel::Decoder::Kind;
    const std::string kind = kind_of(part, "the decoder");
    TokenizerModel::Decoder step;
    if (kind == "Sequence") {
        for (const Value& each : need(part, "decoders", "the decoder Sequence").list()) {
            read_decoder(each, to);
        }
        return;
    }
    if (kind == "ByteLevel") {
        step.kind = Kind::byte_level;
        if (!to.decoders.empty()) {
            refuse("decoder", "ByteLevel after another decoder", "ByteLevel alone or first");
        }
    } else if (kind == "ByteFallback") {
        step.kind = Kind::byte_fallback;
    } else if (kind == "Fuse") {
        step.kind = Kind::fuse;
    } else if (kind == "Metaspace") {
        step.kind = Kind::metaspace;
        step.from = metaspace_mark(part);
        step.first_only = prepend_scheme(part) != TokenizerModel::Prepend::never;
    } else if (kind == "Replace") {
        step.kind = Kind::replace;
        step.from = literal_pattern(part, "decoder Replace");
        step.to = need(part, "content", "decoder Replace").text();
    } else if (kind == "Strip") {
        step.kind = Kind::strip;
        step.from = need(part, "content", "decoder Strip").text();
        const auto count = [&](const char* key) {
            const std::int64_t n = need(part, key, "decoder Strip").integer();
            if (n < 0 || n > std::numeric_limits<int>::max() || step.from.empty()) {
                malformed(std::string("decoder Strip: '") + key + "' is " + std::to_string(n));
            }
            return static_cast<int>(n);
        };
        step.start = count("start");
        step.stop = count("stop");
    } else {
        refuse("decoder", kind, "ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip, Sequence");
    }
    const bool fused = std::any_of(to.decoders.begin(), to.decoders.end(), [](const TokenizerModel::Decoder& d) {
        return d.kind == Kind::fuse || d.kind == Kind::byte_level;
    });
    if (fused && step.kind != Kind::strip && step.kind != Kind::fuse) {
        refuse("decoder", kind + " after Fuse or ByteLevel", "Strip there");
    }
    to.decoders.push_back(std::move(step));
}

/// What `encode` would cut off or fill up.
void refuse_truncation_and_padding(const Value& file)
{
    if (given(file, "truncation") != nullptr) {
        refuse("'truncation'", "other than null", "null; set it so, the tools cut texts themselves");
    }
    const Value* padding = given(file, "padding");
    if (padding == nullptr) {
        return;
    }
    const Value* strategy = given(*padding, "strategy");
    const auto* name = strategy == nullptr ? nullptr : std::get_if<std::string>(&strategy->kind());
    if (name == nullptr || *name != "BatchLongest" || given(*padding, "pad_to_multiple_of") != nullptr) {
        refuse("'padding'", "to a length", "null and BatchLongest; set it so, nothing is padded here");
    }
}

TokenizerModel read_file(std::string_view json)
{
    const Value file = parse_json(json);
    if (!std::holds_alternative<Map>(file.kind())) {
        malformed("expected an object");
    }
    TokenizerModel model;
    model.kind = TokenizerModel::Kind::characters;
    refuse_truncation_and_padding(file);
    read_model(need(file, "model", "the file"), model);
    read_added(file, model);
    if (const Value* part = given(file, "normalizer")) {
        read_normalizer(*part, model);
    }
    if (const Value* part = given(file, "pre_tokenizer")) {
        read_pre_tokenizer(*part, model);
    }
    if (const Value* part = given(file, "post_processor")) {
        read_post_processor(*part, model);
    }
    if (const Value* part = given(file, "decoder")) {
        model.has_decoder = true;
        read_decoder(*part, model);
    }
    return model;
}

}  // namespace

TokenizerModel parse_tokenizer(std::string_view json)
{
    return with_context("tokenizer.json", [&] { return read_file(json); });
}

}  // namespace stillhouse::formats
