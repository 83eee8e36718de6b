// SPDX-License-Identifier: Apache-2.0
// What an opened model remembers: private to model.cpp and model_folder.cpp.
#pragma once

#include "formats/model_folder.hpp"
#include "tools/adapters/model/model_loader.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

struct ModelSource::State {
    /// A frame that came before the configuration.
    struct Early {
        formats::Tensor tensor;
        formats::Note note;
        bool is_note = false;
    };
    std::string name;
    Notice notice;
    Texts texts;
    models::NetworkConfig config;
    formats::StreamInfo info;
    bool loaded = false;

    std::optional<formats::StreamReader> reader;     // of a stream, standing at an unread tensor unless at_end
    std::vector<Early> early;
    bool at_end = false;

    std::shared_ptr<formats::ModelFolder> folder;    // of a folder
};

template <class T>
void load_folder(ModelSource::State& state, ModelLoader<T>& loader);

}  // namespace stillhouse::adapters
