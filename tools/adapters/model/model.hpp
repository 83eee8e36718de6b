// SPDX-License-Identifier: Apache-2.0
// A model from a folder or a stream into memory, and from memory into a stream.
#pragma once

#include "formats/stream/reader.hpp"
#include "formats/stream/writer.hpp"
#include "libcore/models/config.hpp"
#include "libcore/models/parameters.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stillhouse::adapters {

/// Receives what a user should hear of once and what is no fault: legacy buffers left out.
using Notice = std::function<void(const std::string&)>;

/// The files of a model beside its weights, byte for byte; empty: absent.
struct Texts {
    std::string config;
    std::string tokenizer;
    std::string generation_config;
};

/// What a stream or folder held and in which order: how each weight was stored, and the tensors and notes that are no
/// weights of the network (spectra, poles, what other programs added), whole.
struct Inventory {
    struct Item {
        formats::TensorHeader header;            // name empty: a note
        bool weight = false;                     // its values are in the Parameters of the model
        Buffer<std::byte> bytes;                 // of an `other`; of a weight only where T rounded it
        formats::Note note;
    };
    std::vector<Item> items;
    const Item* find(std::string_view name) const;   // null when absent
};

template <class T>
struct Model {
    std::string name;                            // of the folder or stream, for messages
    Texts texts;
    models::NetworkConfig config;
    models::Parameters<T> weights;               // by the names of stillhouse-model(5), `filter*` and `ssm.*` included
    Inventory inventory;
    formats::StreamInfo info;                    // of the stream; of a folder: kind model, no history
};

/// Where a model comes from, opened: the configuration is read, the weights are not.
class ModelSource {
public:
    /// Weights::none: only the texts are wanted, and weights need not be there.
    enum class Weights { required, none };

    /// A Hugging Face folder, GPT-NeoX or Llama, or one that `tensor-stream export` wrote.
    static ModelSource folder(const std::string& path, const Notice& notice, Weights weights = Weights::required);
    /// A stream with the tensor config.json (else Error{bad_data}).
    static ModelSource stream(formats::StreamReader reader, const Notice& notice);
    /// The one that `path` is; `open` is asked for streams ("-" too).
    static ModelSource open(const std::string& path, const Notice& notice,
                            const std::function<formats::StreamReader(const std::string&)>& open_stream,
                            Weights weights = Weights::required);
    ModelSource(ModelSource&&) noexcept;
    ~ModelSource();

    const std::string& name() const;
    const Texts& texts() const;
    const models::NetworkConfig& config() const;
    const formats::StreamInfo& info() const;

    /// What load does with tensors that no network reads.
    enum class Others { keep, drop };
    /// Activations behind the model: left for the caller, or read past, so that a cut stream is not taken for whole.
    enum class Activations { skip, leave };

    /// All weights as T, tensor by tensor, so that memory holds the model and one layer; interleaved q, k, v are
    /// separated. Of a stream: to its verified end, or with Activations::leave to its first tensor `batches.*`.
    /// Error{bad_data} naming the tensor: missing, a shape that contradicts config.json, NaN or infinite values,
    /// unknown in a folder. Numbers are converted by the threads of `pool`, where one is given.
    template <class T>
    Model<T> load(Others others = Others::keep, Activations activations = Activations::skip,
                  ThreadPool* pool = nullptr);
    /// Reads a stream to its end where no weights are wanted. Error{bad_data} when it is cut or damaged.
    void read_to_end();

    /// After load(..., Activations::leave): the reader, standing at the first tensor of activations (its payload
    /// unread), or null when the source was a folder or the stream is at its verified end.
    formats::StreamReader* activations();

    struct State;                                // for the sources of this folder

private:
    explicit ModelSource(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// The tensors config.json (the given text), tokenizer.json, generation_config.json; those that are there.
void write_texts(formats::StreamWriter& writer, const Texts& texts);

/// The weights and the other tensors and notes of a model in the order of the inventory, then weights that are new. A
/// weight goes out as it was stored, bit for bit; where `changed` says so of its name, or it is new, as `dtype`.
/// Weights that are no longer in `weights` are left out, and so are others where `dropped` says so. Trained modes
/// (filter.hpp) go out as filter_modes.{sections,cascade,fir}, made anew where one of their entries changed.
struct WriteOptions {
    std::function<bool(std::string_view)> changed;   // empty: none
    std::function<bool(std::string_view)> dropped;   // of tensors that are no weights; empty: none
    DType dtype = DType::f32;
};
template <class T>
void write_weights(formats::StreamWriter& writer, const models::NetworkConfig& config,
                   const models::Parameters<T>& weights, const Inventory& inventory, const WriteOptions& options = {});

/// Is this name derived from a filter (spectrum, fit, realization), so that it must go when the filter changes?
bool derived_from_filter(std::string_view name);

}  // namespace stillhouse::adapters
