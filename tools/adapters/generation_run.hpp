// SPDX-License-Identifier: Apache-2.0
// The work of generate: from a model's source and a user's wishes to texts, lines or states.
#pragma once

#include "tools/adapters/generation_io.hpp"

#include <functional>
#include <string>

namespace stillhouse::adapters {

struct GenerationRequest {
    PromptInput input;
    GenerationOptions options;                   // but for the execution, which mode and filters decide
    std::string mode = "auto", filters = "original";
    std::string precision = "f32";               // a state is of one
    bool ids = false;
    bool resume = false;
    bool measure = false;                        // fill GenerationOutcome::stats
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

template <class T>
GenerationOutcome generate(ModelSource& source, const GenerationRequest& request, compute::Operations<T>& ops,
                           const GenerationTools& tools);

}  // namespace stillhouse::adapters
