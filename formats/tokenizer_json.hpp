// SPDX-License-Identifier: Apache-2.0
// tokenizer.json of the `tokenizers` library to the plain data that the algorithm is built from.
#pragma once

#include "libcore/base/tokenizer_model.hpp"

#include <string_view>

namespace stillhouse::formats {

/// Reads the text of a tokenizer.json. Supported: model BPE (merges as "A B" or pairs, ignore_merges, byte_fallback,
/// unk_token, fuse_unk); normalizers NFC, Prepend, Replace (of a string), Sequence; pre-tokenizers ByteLevel,
/// Metaspace, Split by the patterns of Llama 3 and Qwen 2 followed by ByteLevel, Sequence; post-processors ByteLevel,
/// TemplateProcessing, BertProcessing, RobertaProcessing, Sequence; decoders ByteLevel, Metaspace, Replace (of a
/// string), ByteFallback, Fuse, Strip, Sequence. Each part may be null.
/// Error{unsupported} names any other kind or option that would change ids, with the list of those supported;
/// Error{bad_data} says where the file is not what it should be.
TokenizerModel parse_tokenizer(std::string_view json);

}  // namespace stillhouse::formats
