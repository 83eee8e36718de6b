// SPDX-License-Identifier: Apache-2.0
// The long-convolution mixer against public implementations: values and every gradient, in both precisions.
#include "formats/json.hpp"
#include "formats/safetensors.hpp"
#include "libcore/base/dtype.hpp"
#include "libcore/models/hyena.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace stillhouse::models
{
namespace
{

namespace fs = std::filesystem;

struct Array {
    Shape shape;
    std::vector<double> values;
};
using Arrays = std::map<std::string, Array>;

Arrays load(const fs::path& path)
{
    Arrays arrays;
    const formats::SafetensorsFile file(path.string());
    for (const auto& tensor : file.tensors()) {
        Array array{tensor.header.shape,
                    std::vector<double>(static_cast<std::size_t>(element_count(tensor.header.shape)))};
        const formats::Tensor copy = formats::read_stored(tensor);
        convert_from<double>(tensor.header.dtype, copy.data.data(), static_cast<Index>(array.values.size()),
                             array.values.data());
        arrays[tensor.header.name] = std::move(array);
    }
    return arrays;
}

/// A case of the reference data: in the source tree, or in the folder that STILLHOUSE_SHARED names.
fs::path find_case(const std::string& name)
{
    const char* shared = std::getenv("STILLHOUSE_SHARED");
    const fs::path root = shared != nullptr ? fs::path(shared) : fs::path(STILLHOUSE_TEST_DATA) / "../../../shared";
    for (const fs::path& folder : {fs::path(STILLHOUSE_TEST_DATA) / "hyena" / name, root / "golden/hyena" / name}) {
        if (fs::exists(folder / "io.safetensors")) {
            return folder;
        }
    }
    return {};
}

formats::Value settings(const fs::path& folder)
{
    std::ifstream stream(folder / "config.json");
    std::ostringstream text;
    text << stream.rdbuf();
    return formats::parse_json(text.str());
}

/// One case in our terms: where each of our entries comes from. The source of row r of the entry is row rows[r] of the
/// reference; several may be the same (tied projections), their gradients then add.
struct Source {
    std::string key;
    std::vector<Index> rows;
    bool reverse = false; // taps: theirs end with lag 0
};

struct Case {
    NetworkConfig config;
    std::map<std::string, Source> sources;
};

std::vector<Index> chunk(Index first, Index count, Index modulus)
{
    std::vector<Index> rows;
    for (Index r = first; r < first + count; ++r) {
        rows.push_back(r % modulus);
    }
    return rows;
}

void add_projection(Case& c, const std::string& part, Index first, Index width, Index projected)
{
    const std::string prefix = "layers.0.mixer." + part;
    c.sources[prefix + ".weight"] = {"in_proj.weight", chunk(first, width, projected)};
    c.sources[prefix + ".bias"] = {"in_proj.bias", chunk(first, width, projected)};
    c.sources[prefix + ".short.weight"] = {"short_filter.weight", chunk(first, width, Index{1} << 40), true};
    c.sources[prefix + ".short.bias"] = {"short_filter.bias", chunk(first, width, Index{1} << 40)};
}

void add_filter(Case& c, const std::string& prefix, const std::string& skip, const std::vector<Index>& rows)
{
    const std::string ours = "layers.0.mixer.";
    const MixerConfig& mixer = c.config.mixers[0];
    c.sources[ours + "skip"] = {skip, rows};
    c.sources[ours + "filter_mlp.decay"] = {prefix + "modulation.deltas", rows};
    for (Index i = 0; i <= mixer.implicit.inner_layers + 1; ++i) {
        const std::string from = prefix + "implicit_filter." + std::to_string(2 * i) + ".";
        const bool last = i == mixer.implicit.inner_layers + 1;
        const auto all = chunk(0, mixer.implicit.width, mixer.implicit.width);
        c.sources[ours + "filter_mlp.weight." + std::to_string(i)] = {from + "weight", last ? rows : all};
        if (!last) {
            c.sources[ours + "filter_mlp.bias." + std::to_string(i)] = {from + "bias", all};
        }
    }
    c.sources[ours + "filter_mlp.frequency"] = {prefix + "implicit_filter.1.freq",
                                                chunk(0, mixer.implicit.width, mixer.implicit.width)};
    c.sources[ours + "filter_mlp.times"] = {prefix + "pos_emb.t", chunk(0, mixer.filter_length, mixer.filter_length)};
    c.sources[ours + "filter_mlp.positions"] = {prefix + "pos_emb.z",
                                                chunk(0, mixer.filter_length, mixer.filter_length)};
}

void finish(Case& c, Index width)
{
    c.config.width = width;
    c.config.layers = 1;
    c.sources["layers.0.mixer.out.weight"] = {"out_proj.weight", chunk(0, width, width)};
    c.sources["layers.0.mixer.out.bias"] = {"out_proj.bias", chunk(0, width, width)};
}

Case safari(const formats::Value& json, FilterRows layout)
{
    Case c;
    MixerConfig mixer;
    const Index width = json.find("d_model")->integer();
    mixer.kind = MixerKind::hyena;
    mixer.channels = mixer.filters = width;
    mixer.order = json.find("order")->integer();
    mixer.form = FilterForm::implicit_mlp;
    mixer.filter_length = json.find("l_max")->integer();
    mixer.implicit.features = json.find("emb_dim")->integer();
    mixer.implicit.width = json.find("filter_order")->integer();
    mixer.implicit.inner_layers = json.find("num_inner_mlps")->integer();
    mixer.implicit.frequency = json.find("w")->number();
    mixer.implicit.modulate = json.find("modulate")->boolean();
    mixer.implicit.shift = json.find("shift")->number();
    mixer.implicit.normalize = json.find("normalized")->boolean();
    c.config.mixers = {mixer};
    // theirs: x_0 ... x_{o-1}, v; the first product is v x_{o-1}, the last x_0
    const Index order = mixer.order;
    const Index projected = (order + 1) * width;
    add_projection(c, "q", 0, width, projected);
    for (Index g = 1; g <= order - 2; ++g) {
        add_projection(c, "gate." + std::to_string(g), (order - 1 - g) * width, width, projected);
    }
    add_projection(c, "k", (order - 1) * width, width, projected);
    add_projection(c, "v", order * width, width, projected);
    // row r of theirs is row filter_rows[r] of ours; here we need the way back
    const std::vector<Index> to_ours = filter_rows(layout, width, order);
    std::vector<Index> from(to_ours.size());
    for (std::size_t r = 0; r < to_ours.size(); ++r) {
        from[static_cast<std::size_t>(to_ours[r])] = static_cast<Index>(r);
    }
    add_filter(c, "filter_fn.", "filter_fn.bias", from);
    finish(c, width);
    return c;
}

Case mad(const formats::Value& json)
{
    Case c;
    MixerConfig mixer;
    const Index width = json.find("dim")->integer();
    const formats::Value& filter = *json.find("filter");
    mixer.kind = MixerKind::multihyena;
    mixer.channels = width;
    mixer.head_width = json.find("head_width_N")->integer();
    mixer.filters = json.find("num_filters_M")->integer();
    mixer.form = FilterForm::implicit_mlp;
    mixer.filter_length = json.find("max_length")->integer();
    mixer.implicit.features = filter.find("emb_dim")->integer();
    mixer.implicit.width = filter.find("order")->integer();
    mixer.implicit.inner_layers = filter.find("depth_implicit")->integer();
    mixer.implicit.frequency = filter.find("w")->number();
    mixer.implicit.modulate = filter.find("modulate")->boolean();
    mixer.implicit.shift = filter.find("shift")->number();
    c.config.mixers = {mixer};
    // theirs: query, factor of the output index (our v), factor that is contracted with the query (our k)
    const Index projected = 3 * width / json.find("proj_groups")->integer();
    add_projection(c, "q", 0, width, projected);
    add_projection(c, "v", width, width, projected);
    add_projection(c, "k", 2 * width, width, projected);
    add_filter(c, "long_conv.filter.", "long_conv.bias", chunk(0, mixer.filters, mixer.filters));
    finish(c, width);
    return c;
}

/// Numbers a row of `ours` in the reference array: an entry of `rows` rows, whatever ones they write between.
Index row_size(const Shape& shape)
{
    return shape.size() > 1 ? element_count(shape) / shape[0] : 1;
}

template <class T>
Parameters<T> weights_of(const Case& c, const Arrays& reference)
{
    Parameters<T> weights;
    std::vector<WeightShape> all = hyena_weights(c.config, 0);
    all.push_back({"layers.0.mixer.filter_mlp.times", {c.config.mixers[0].filter_length}});
    for (const WeightShape& wanted : all) {
        const Source& source = c.sources.at(wanted.name);
        const Array& from = reference.at(source.key);
        auto& entry = weights.add(wanted.name, wanted.shape);
        const Index size = row_size(wanted.shape);
        for (Index r = 0; r < wanted.shape[0]; ++r) {
            for (Index j = 0; j < size; ++j) {
                const Index place =
                    source.rows[static_cast<std::size_t>(r)] * size + (source.reverse ? size - 1 - j : j);
                entry.values[r * size + j] = static_cast<T>(from.values.at(static_cast<std::size_t>(place)));
            }
        }
    }
    return weights;
}

/// Gradients of the reference's arrays, by their keys.
template <class T>
std::map<std::string, std::vector<double>> gradients_of(const Case& c, const Parameters<T>& gradient,
                                                        const Arrays& reference)
{
    std::map<std::string, std::vector<double>> result;
    for (const auto& entry : gradient) {
        const Source& source = c.sources.at(entry.name);
        auto& to = result[source.key];
        to.resize(reference.at(source.key).values.size());
        const Index size = row_size(entry.shape);
        for (Index r = 0; r < entry.shape[0]; ++r) {
            for (Index j = 0; j < size; ++j) {
                const Index place =
                    source.rows[static_cast<std::size_t>(r)] * size + (source.reverse ? size - 1 - j : j);
                to.at(static_cast<std::size_t>(place)) += static_cast<double>(entry.values[r * size + j]);
            }
        }
    }
    return result;
}

template <class Values>
double distance(const Values& found, const std::vector<double>& wanted)
{
    double error = 0.0;
    double size = 1.0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        error = std::max(error, std::abs(static_cast<double>(found[static_cast<Index>(i)]) - wanted[i]));
        size = std::max(size, std::abs(wanted[i]));
    }
    return error / size;
}

template <class T>
Buffer<T> buffer_of(const Array& array)
{
    Buffer<T> result(static_cast<Index>(array.values.size()));
    for (Index i = 0; i < result.size(); ++i) {
        result[i] = static_cast<T>(array.values[static_cast<std::size_t>(i)]);
    }
    return result;
}

template <class T>
void compare(const Case& c, const Arrays& reference, const Arrays& io, const std::string& suffix)
{
    constexpr bool is_double = std::is_same_v<T, double>;
    const double value_limit = is_double ? 1e-10 : 2e-5;
    const double gradient_limit = is_double ? 1e-9 : 5e-5;
    const auto backend = compute::make_backend("cpu", is_double ? compute::Precision::f64 : compute::Precision::f32, 2);
    auto& ops = backend->on<T>();
    const Parameters<T> weights = weights_of<T>(c, reference);
    const auto mixer = make_hyena_mixer<T>(c.config, 0, weights);
    mixer->refresh(ops);

    const Shape shape = io.at("u").shape;
    const Buffer<T> u = buffer_of<T>(io.at("u"));
    const Buffer<T> g = buffer_of<T>(io.at("g"));
    Buffer<T> y(u.size());
    Buffer<T> du(u.size());
    const auto sequences = [&](auto* data) { return Sequences(data, shape[0], shape[1], shape[2]); };
    std::unique_ptr<MixerTape> tape;
    mixer->forward(ops, sequences(u.data()), sequences(y.data()), &tape);
    BOOST_TEST(distance(y, io.at("y" + suffix).values) <= value_limit);

    // h of the case is theirs, rows in their order, as many lags as the sequence has
    const Buffer<T> h = materialize_filters(ops, c.config.mixers[0], 0, weights);
    const Array& wanted_h = io.at("h");
    const Index lags = wanted_h.shape[1];
    const std::vector<Index>& rows = c.sources.at("layers.0.mixer.skip").rows;
    std::vector<double> found_h(wanted_h.values.size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (Index t = 0; t < lags; ++t) {
            found_h[static_cast<std::size_t>(rows[r] * lags + t)] =
                static_cast<double>(h[static_cast<Index>(r) * c.config.mixers[0].filter_length + t]);
        }
    }
    Buffer<double> found(static_cast<Index>(found_h.size()));
    std::copy(found_h.begin(), found_h.end(), found.begin());
    BOOST_TEST(distance(found, wanted_h.values) <= value_limit);

    Parameters<T> gradient = weights.zeros_like();
    mixer->backward(ops, *tape, sequences(u.data()), sequences(g.data()), sequences(du.data()), gradient);
    BOOST_TEST(distance(du, io.at("grad_u" + suffix).values) <= gradient_limit);
    int compared = 0;
    for (const auto& [key, values] : gradients_of(c, gradient, reference)) {
        const auto wanted = io.find("grad" + suffix + "." + key);
        if (wanted == io.end()) {
            continue; // a buffer of theirs
        }
        Buffer<double> mine(static_cast<Index>(values.size()));
        std::copy(values.begin(), values.end(), mine.begin());
        BOOST_TEST_CONTEXT(key)
        {
            BOOST_TEST(distance(mine, wanted->second.values) <= gradient_limit);
        }
        ++compared;
    }
    int stored = 0;
    for (const auto& [key, array] : io) {
        stored += key.starts_with("grad" + suffix + ".") ? 1 : 0;
    }
    BOOST_TEST(compared == stored); // each of theirs was compared
}

const std::vector<std::string> cases{"safari_hyena_operator", "safari_hyena_order3", "safari_hyena_short",
                                     "mad_multihead_hyena", "mad_multihead_hyena_proj1"};

} // namespace

BOOST_AUTO_TEST_SUITE(hyena_golden)

BOOST_AUTO_TEST_CASE(values_and_gradients)
{
    for (const std::string& name : cases) {
        const fs::path folder = find_case(name);
        if (folder.empty()) {
            BOOST_TEST_MESSAGE("skipped: " << name << " is not here (STILLHOUSE_SHARED)");
            continue;
        }
        BOOST_TEST_CONTEXT(name)
        {
            const Arrays weights = load(folder / "weights.safetensors");
            const Arrays io = load(folder / "io.safetensors");
            const formats::Value json = settings(folder);
            if (name.starts_with("mad")) {
                compare<double>(mad(json), weights, io, "");
                compare<float>(mad(json), weights, io, "");
                continue;
            }
            compare<double>(safari(json, FilterRows::order_fastest), weights, io, "");
            compare<float>(safari(json, FilterRows::order_fastest), weights, io, "");
            if (io.count("y_standalone") > 0) {
                compare<double>(safari(json, FilterRows::order_slowest), weights, io, "_standalone");
                compare<float>(safari(json, FilterRows::order_slowest), weights, io, "_standalone");
            }
        }
    }
}

/// Their option num_blocks wraps around within blocks, so that outputs see the future. Ours has no such mixer: the same
/// weights give what a causal operator must give, which is something else, and no setting of MixerConfig reaches it.
BOOST_AUTO_TEST_CASE(blocks_that_wrap_are_not_ours)
{
    const fs::path folder = find_case("safari_hyena_num_blocks2");
    if (folder.empty()) {
        BOOST_TEST_MESSAGE("skipped: safari_hyena_num_blocks2 is not here (STILLHOUSE_SHARED)");
        return;
    }
    const Arrays reference = load(folder / "weights.safetensors");
    const Arrays io = load(folder / "io.safetensors");
    const Case c = safari(settings(folder), FilterRows::order_fastest);
    const auto backend = compute::make_backend("cpu", compute::Precision::f64, 1);
    auto& ops = backend->real();
    const Parameters<double> weights = weights_of<double>(c, reference);
    const auto mixer = make_hyena_mixer<double>(c.config, 0, weights);
    mixer->refresh(ops);
    const Shape shape = io.at("u").shape;
    Buffer<double> u = buffer_of<double>(io.at("u"));
    Buffer<double> y(u.size());
    Buffer<double> again(u.size());
    const auto sequences = [&](auto* data) { return Sequences(data, shape[0], shape[1], shape[2]); };
    mixer->forward(ops, Sequences<const double>(sequences(u.data())), sequences(y.data()), nullptr);
    BOOST_TEST(distance(y, io.at("y").values) > 1e-3);
    u[u.size() - 1] += 1.0; // the last token of the last sequence changes nothing before it
    mixer->forward(ops, Sequences<const double>(sequences(u.data())), sequences(again.data()), nullptr);
    for (Index i = 0; i < u.size() - shape[2]; ++i) {
        BOOST_REQUIRE(std::abs(y[i] - again[i]) <= 1e-12);
    }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace stillhouse::models
