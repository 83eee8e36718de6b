// SPDX-License-Identifier: Apache-2.0
// The work of generate: from a model's source and a user's wishes to texts, lines or states.
#pragma once

#include "formats/atomic_file.hpp"
#include "formats/stream/reader.hpp"
#include "tools/adapters/generation/generation_io.hpp"
#include "tools/adapters/model/model.hpp"

#include <functional>
#include <optional>
#include <string>

namespace stillhouse::adapters {

struct GenerationRequest {
    PromptInput input;
    GenerationOptions options;                   // but for the execution, which mode and filters decide
    std::string mode = "auto", filters = "original", prefill = "scan";
    std::string precision = "f32";               // f64, or what weights are packed in; a state is of one
    std::optional<std::string> head_precision;   // of the head, where it differs
    bool ids = false;
    bool resume = false;
    bool measure = false;                        // GenerationOutcome::stats say what share of the machine this was
    formats::Map made_by;                        // the settings that make the lines of a partial file
};

/// What the tool lends.
struct GenerationTools {
    Notice notice;
    std::function<formats::AtomicFile()> create_output;
    std::function<formats::StreamReader()> open_state;     // empty: none to load
    std::function<formats::AtomicFile()> create_state;     // empty: none to save
    std::string output_name;                               // lines in progress lie beside it
    std::function<void()> kept_for_resume;
    Control control;
};

struct GenerationOutcome {
    std::string summary;                         // for the closing line
    formats::Map stats;
};

/// "f32", "bf16", "int8" as the format of packed weights. Error{bad_argument} for others.
compute::WeightFormat weight_format(const std::string& precision);

/// Error{bad_argument}: contradictions that no table of options shows.
void check_request(const GenerationRequest& request);

template <class T>
GenerationOutcome generate(ModelSource& source, const GenerationRequest& request, compute::Operations<T>& ops,
                           const GenerationTools& tools);

}  // namespace stillhouse::adapters
