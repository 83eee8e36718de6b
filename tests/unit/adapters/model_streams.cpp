// SPDX-License-Identifier: Apache-2.0
// Models from folders into streams and back, and what is refused on the way.
#include "formats/fd.hpp"
#include "libcore/base/error.hpp"
#include "libcore/models/network.hpp"
#include "tools/adapters/model/model.hpp"
#include "tools/adapters/model/model_config.hpp"
#include "tools/adapters/model/model_modes.hpp"

#include <boost/test/unit_test.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

using namespace stillhouse;
namespace fs = std::filesystem;
using adapters::ModelSource;

namespace {

const fs::path folders = fs::path(STILLHOUSE_TEST_DATA) / "models";

struct Work {
    fs::path path = fs::temp_directory_path() / ("stillhouse-adapters-" + std::to_string(std::random_device{}()));
    Work() { fs::create_directory(path); }
    ~Work() { fs::remove_all(path); }
};

std::string bytes_of(const fs::path& path)
{
    return formats::read_file(path.string());
}

template <class T>
void write(const adapters::Model<T>& model, const fs::path& path)
{
    formats::StreamWriter writer(formats::AtomicFile(path.string(), formats::Overwrite::replace), model.info);
    adapters::write_texts(writer, model.texts);
    adapters::write_weights(writer, model.config, model.weights, model.inventory);
    writer.finish();
}

ModelSource stream(const fs::path& path)
{
    return ModelSource::stream(formats::StreamReader(formats::Fd::open_input(path.string())), {});
}

/// A folder whose config.json has one text replaced by another.
fs::path changed_folder(const Work& work, const std::string& from, const std::string& to)
{
    const fs::path folder = work.path / "changed";
    fs::remove_all(folder);
    fs::copy(folders / "neox-bf16", folder, fs::copy_options::recursive);
    std::string text = bytes_of(folder / "config.json");
    const std::size_t at = text.find(from);
    BOOST_REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    fs::remove(folder / "config.json");
    std::ofstream(folder / "config.json") << text;
    return folder;
}

std::string refusal(const fs::path& folder)
{
    try {
        ModelSource::folder(folder.string(), {}).load<float>();
    } catch (const Error& error) {
        BOOST_TEST((error.code() == ErrorCode::bad_data), error.what());
        return error.what();
    }
    return "nothing refused";
}

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

using Types = std::tuple<float, double>;

BOOST_AUTO_TEST_CASE_TEMPLATE(folder_to_stream_and_back, T, Types)
{
    const Work work;
    for (const char* name : {"neox-bf16", "llama3-bf16"}) {
        const auto model = ModelSource::folder((folders / name).string(), {}).load<T>();
        write(model, work.path / "a.mts");
        const auto again = stream(work.path / "a.mts").template load<T>();
        BOOST_TEST(again.weights.size() == model.weights.size());
        for (const auto& entry : model.weights) {
            const auto& copy = again.weights.at(entry.name, entry.shape);
            BOOST_TEST(std::memcmp(copy.values.data(), entry.values.data(),
                                   static_cast<std::size_t>(entry.values.size()) * sizeof(T)) == 0, entry.name);
            // As it was stored: BF16 goes out as BF16.
            BOOST_TEST((again.inventory.find(entry.name)->header.dtype == DType::bf16), entry.name);
        }
        BOOST_TEST(again.texts.config == model.texts.config);
        write(again, work.path / "b.mts");
        BOOST_TEST(bytes_of(work.path / "a.mts") == bytes_of(work.path / "b.mts"));
    }
}

BOOST_AUTO_TEST_CASE(queries_keys_values_are_separated)
{
    // Row r of the file is head * (3 * head_dim) + part * head_dim + d.
    const auto model = ModelSource::folder((folders / "neox-bf16").string(), {}).load<float>();
    const std::string file = bytes_of(folders / "neox-bf16" / "model.safetensors");
    std::uint64_t header_size = 0;
    std::memcpy(&header_size, file.data(), sizeof header_size);
    const std::string header = file.substr(8, header_size);
    const std::size_t entry = header.find("layers.1.attention.query_key_value.weight");
    const std::size_t offsets = header.find("data_offsets", entry);
    const std::size_t begin = std::stoull(header.substr(header.find('[', offsets) + 1));
    const Index width = model.config.width;
    const Index head_dim = model.config.head_dim;
    const char* parts[] = {"q", "k", "v"};
    for (Index head : {Index{0}, model.config.heads - 1}) {
        for (int part = 0; part < 3; ++part) {
            const auto& weight = model.weights.at(std::string("layers.1.attention.") + parts[part] + ".weight");
            for (Index d : {Index{0}, head_dim - 1}) {
                const Index row = head * 3 * head_dim + part * head_dim + d;
                std::uint16_t stored = 0;
                std::memcpy(&stored, file.data() + 8 + header_size + begin + static_cast<std::size_t>(row * width) * 2,
                            2);
                BOOST_TEST(weight.values[(head * head_dim + d) * width] == from_bf16(stored));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_config_that_contradicts_the_tensors)
{
    const Work work;
    const std::string wrong_size =
        refusal(changed_folder(work, "\"intermediate_size\": 256", "\"intermediate_size\": 255"));
    BOOST_TEST(says(wrong_size, "dense_h_to_4h"), wrong_size);
    BOOST_TEST(says(wrong_size, "[256, 64]"), wrong_size);
    BOOST_TEST(says(wrong_size, "config.json makes it [255, 64]"), wrong_size);
    const std::string too_many = refusal(changed_folder(work, "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2"));
    BOOST_TEST(says(too_many, "gpt_neox.layers.2."), too_many);
    const std::string too_few = refusal(changed_folder(work, "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4"));
    BOOST_TEST(says(too_few, "gpt_neox.layers.3."), too_few);
    BOOST_TEST(says(too_few, "missing"), too_few);
}

BOOST_AUTO_TEST_CASE(nan_is_refused_by_the_name_of_its_tensor)
{
    const Work work;
    auto model = ModelSource::folder((folders / "neox-bf16").string(), {}).load<float>();
    model.weights.at("layers.2.mlp.down.bias").values[7] = std::numeric_limits<float>::quiet_NaN();
    write(model, work.path / "nan.mts");
    try {
        stream(work.path / "nan.mts").load<double>();
        BOOST_ERROR("nothing refused");
    } catch (const Error& error) {
        BOOST_TEST((error.code() == ErrorCode::bad_data));
        BOOST_TEST(says(error.what(), "layers.2.mlp.down.bias: NaN at element 7"), error.what());
    }
}

BOOST_AUTO_TEST_CASE(others_pass_through_in_their_places_and_changes_are_written)
{
    const Work work;
    auto model = ModelSource::folder((folders / "neox-bf16").string(), {}).load<float>();
    adapters::Inventory::Item other;
    other.header.name = "somebody.elses";
    other.header.dtype = DType::i16;
    other.header.shape = {3};
    other.header.set_attribute("unit", "furlong");
    other.bytes = Buffer<std::byte>(6);
    other.bytes[2] = std::byte{42};
    model.inventory.items.insert(model.inventory.items.begin() + 2, std::move(other));
    write(model, work.path / "a.mts");
    auto again = stream(work.path / "a.mts").load<double>();
    BOOST_TEST(again.inventory.items.at(2).header.name == "somebody.elses");
    BOOST_TEST((again.inventory.items.at(2).bytes[2] == std::byte{42}));

    // One weight changed, one taken out, one new, the stranger dropped.
    again.weights.at("final_norm.bias").values[0] = 0.1;
    again.weights.erase("layers.0.attention.q.weight");
    again.weights.add("layers.0.mixer.skip", {4}).values[3] = 1.0 / 3.0;
    formats::StreamWriter writer(formats::AtomicFile((work.path / "b.mts").string(), formats::Overwrite::refuse),
                                 again.info);
    adapters::write_weights(writer, again.config, again.weights, again.inventory,
                            {[](std::string_view name) { return name == "final_norm.bias"; },
                             [](std::string_view name) { return name == "somebody.elses"; }, DType::f64});
    writer.finish();
    formats::StreamReader reader(formats::Fd::open_input((work.path / "b.mts").string()));
    Index seen = 0;
    while (reader.next() == formats::StreamReader::Frame::tensor) {
        const formats::Tensor tensor = reader.read();
        BOOST_TEST(tensor.name() != "somebody.elses");
        BOOST_TEST(tensor.name() != "layers.0.attention.q.weight");
        if (tensor.name() == "final_norm.bias") {
            BOOST_TEST((tensor.header.dtype == DType::f64));
            BOOST_TEST(tensor.as<double>()[0] == 0.1);
            ++seen;
        } else if (tensor.name() == "layers.0.mixer.skip") {
            BOOST_TEST(tensor.as<double>()[3] == 1.0 / 3.0);
            ++seen;
        } else if (tensor.name() == "final_norm.weight") {
            BOOST_TEST((tensor.header.dtype == DType::bf16));
            ++seen;
        }
    }
    BOOST_TEST(seen == 3);
}

BOOST_AUTO_TEST_CASE(modes_in_tensors)
{
    systems::ModalSystem small;
    small.fir = {0.5};
    small.sections = {{1, -1.0, -0.25, 0.0}};
    small.readout = {2.0};
    systems::ModalSystem large;
    large.fir = {1.0, 0.25};
    large.sections = {{2, 1.0, -0.01, -0.04}, {1, 1.0, -0.5, 0.0}};
    large.readout = {1.0, 2.0, 3.0};
    const auto tensors = adapters::mode_tensors("layers.0.mixer.filter_modes", {small, large});
    BOOST_TEST((tensors[0].header.shape == Shape{2, 2, 4}));
    BOOST_TEST((tensors[1].header.shape == Shape{2, 3}));
    BOOST_TEST((tensors[2].header.shape == Shape{2, 2}));
    const auto again = adapters::modes_from(tensors[0], tensors[1], tensors[2]);
    BOOST_TEST(again[0].order() == 1);
    BOOST_TEST(again[0].sections[0].sign == -1.0);
    BOOST_TEST(again[1].readout == large.readout, boost::test_tools::per_element());
    BOOST_TEST(again[1].sections[0].v == -0.04);
    BOOST_CHECK_THROW(adapters::modes_from(tensors[1], tensors[1], tensors[2]), Error);
}
