// SPDX-License-Identifier: Apache-2.0
// The mixer that is plain attention: projections around SoftmaxAttention.
#include "libcore/base/random.hpp"
#include "libcore/models/attention.hpp"
#include "libcore/models/projection.hpp"
#include "libcore/models/scratch.hpp"

#include <cmath>

namespace stillhouse::models {
namespace {

AttentionGeometry geometry_of(const NetworkConfig& config)
{
    return {config.heads, config.kv_heads, config.head_dim, 0};
}

std::string prefix_of(Index layer)
{
    return "layers." + std::to_string(layer) + ".attention.";
}

template <class T>
struct AttentionTape final : MixerTape {
    Buffer<T> q, k, v, y, statistics;
};

template <class T>
class AttentionMixer final : public Mixer<T> {
public:
    AttentionMixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights)
        : core_(geometry_of(config), config.rotary),
          q_(weights, prefix_of(layer) + "q", geometry().query_width(), config.width, config.attention_bias),
          k_(weights, prefix_of(layer) + "k", geometry().key_width(), config.width, config.attention_bias),
          v_(weights, prefix_of(layer) + "v", geometry().key_width(), config.width, config.attention_bias),
          out_(weights, prefix_of(layer) + "out", config.width, geometry().query_width(), config.attention_bias)
    {
        this->inputs_ = {&q_, &k_, &v_};
        this->outputs_ = {&out_};
    }

    void refresh(compute::Operations<T>&) override {}

    void forward(compute::Operations<T>& ops, Sequences<const T> x, Sequences<T> y,
                 std::unique_ptr<MixerTape>* tape) const override
    {
        const Index queries = x.tokens() * geometry().query_width();
        const Index keys = x.tokens() * geometry().key_width();
        if (tape == nullptr) {
            Scratch<T> memory(2 * queries + 2 * keys);
            T* const k = memory.data() + queries;
            attend(ops, x, y, memory.data(), k, k + keys, k + 2 * keys, nullptr);
            return;
        }
        auto* kept = dynamic_cast<AttentionTape<T>*>(tape->get());
        if (kept == nullptr || kept->q.size() != queries || kept->k.size() != keys
            || kept->statistics.size() != x.tokens() * geometry().heads) {
            auto fresh = std::make_unique<AttentionTape<T>>();
            kept = fresh.get();
            kept->q = Buffer<T>(queries);
            kept->k = Buffer<T>(keys);
            kept->v = Buffer<T>(keys);
            kept->y = Buffer<T>(queries);
            kept->statistics = Buffer<T>(x.tokens() * geometry().heads);
            *tape = std::move(fresh);
        }
        attend(ops, x, y, kept->q.data(), kept->k.data(), kept->v.data(), kept->y.data(), kept->statistics.data());
    }

    void backward(compute::Operations<T>& ops, const MixerTape& tape, Sequences<const T> x, Sequences<const T> dy,
                  Sequences<T> dx, Parameters<T>& gradient) const override
    {
        const auto& kept = dynamic_cast<const AttentionTape<T>&>(tape);
        const Index queries = kept.q.size();
        const Index keys = kept.k.size();
        Scratch<T> memory(2 * queries + 2 * keys);
        const auto as_queries = [&](auto* data) {
            return Sequences(data, x.batch, x.length, geometry().query_width());
        };
        const auto as_keys = [&](auto* data) { return Sequences(data, x.batch, x.length, geometry().key_width()); };
        const Sequences<T> dattended = as_queries(memory.data());
        const Sequences<T> dq = as_queries(memory.data() + queries);
        const Sequences<T> dk = as_keys(memory.data() + 2 * queries);
        const Sequences<T> dv = as_keys(memory.data() + 2 * queries + keys);
        out_.backward(ops, as_queries(kept.y.data()).rows(), dy.rows(), T(0), dattended.rows(), gradient);
        core_.backward(ops, as_queries(kept.q.data()), as_keys(kept.k.data()), as_keys(kept.v.data()),
                       kept.statistics.data(), dattended, dq, dk, dv);
        q_.backward(ops, x.rows(), dq.rows(), T(0), dx.rows(), gradient);
        k_.backward(ops, x.rows(), dk.rows(), T(1), dx.rows(), gradient);
        v_.backward(ops, x.rows(), dv.rows(), T(1), dx.rows(), gradient);
    }

    std::unique_ptr<MixerState> start(Index batch, Execution) const override
    {
        return std::make_unique<AttentionCache<T>>(geometry(), batch);
    }

    std::unique_ptr<MixerState> hand_over(compute::Operations<T>&, const MixerState& exact) const override
    {
        const auto& from = dynamic_cast<const AttentionCache<T>&>(exact);
        auto copy = std::make_unique<AttentionCache<T>>(geometry(), from.batch());
        for (Index b = 0; b < from.batch(); ++b) {
            copy->take(b, from, b);
        }
        return copy;
    }

    void mix(compute::Operations<T>& ops, Sequences<const T> x, T* z, MixerState& state, bool decode,
             T* features) const override
    {
        const Index queries = geometry().query_width();
        const Index keys = geometry().key_width();
        const Sequences<T> q(z, x.batch, x.length, queries);
        const Sequences<T> k(q.data + q.size(), x.batch, x.length, keys);
        const Sequences<T> v(k.data + k.size(), x.batch, x.length, keys);
        const Sequences<T> attended(features, x.batch, x.length, queries);
        auto& cache = dynamic_cast<AttentionCache<T>&>(state);
        if (decode) {
            core_.step(ops, q.rows(), k.rows(), v.rows(), cache, attended.rows());
        } else {
            core_.prefill(ops, q, k, v, cache, attended);
        }
    }

    void sum_attention_by_lag(compute::Operations<T>& ops, Sequences<const T> x, Matrix<double> lag) const override
    {
        Scratch<T> memory(x.tokens() * (geometry().query_width() + geometry().key_width()));
        const Sequences<T> q(memory.data(), x.batch, x.length, geometry().query_width());
        const Sequences<T> k(q.data + q.size(), x.batch, x.length, geometry().key_width());
        q_.forward(ops, x.rows(), q.rows());
        k_.forward(ops, x.rows(), k.rows());
        core_.sum_by_lag(ops, q, k, lag);
    }

private:
    const AttentionGeometry& geometry() const { return core_.geometry(); }

    void attend(compute::Operations<T>& ops, Sequences<const T> x, Sequences<T> y, T* q_data, T* k_data, T* v_data,
                T* y_data, T* statistics) const
    {
        const Sequences<T> q(q_data, x.batch, x.length, geometry().query_width());
        const Sequences<T> k(k_data, x.batch, x.length, geometry().key_width());
        const Sequences<T> v(v_data, x.batch, x.length, geometry().key_width());
        const Sequences<T> attended(y_data, x.batch, x.length, geometry().query_width());
        q_.forward(ops, x.rows(), q.rows());
        k_.forward(ops, x.rows(), k.rows());
        v_.forward(ops, x.rows(), v.rows());
        core_.forward(ops, q, k, v, attended, statistics);
        out_.forward(ops, attended.rows(), y.rows());
    }

    SoftmaxAttention<T> core_;
    Projection<T> q_, k_, v_, out_;
};

}  // namespace

template <class T>
std::unique_ptr<Mixer<T>> make_attention_mixer(const NetworkConfig& config, Index layer, const Parameters<T>& weights)
{
    return std::make_unique<AttentionMixer<T>>(config, layer, weights);
}

std::vector<WeightShape> attention_weights(const NetworkConfig& config, Index layer)
{
    const AttentionGeometry geometry = geometry_of(config);
    std::vector<WeightShape> list;
    const auto add = [&](const char* name, Index out, Index in) {
        list.push_back({prefix_of(layer) + name + ".weight", {out, in}});
        if (config.attention_bias) {
            list.push_back({prefix_of(layer) + name + ".bias", {out}});
        }
    };
    add("q", geometry.query_width(), config.width);
    add("k", geometry.key_width(), config.width);
    add("v", geometry.key_width(), config.width);
    add("out", config.width, geometry.query_width());
    return list;
}

template <class T>
void initialize_attention(const NetworkConfig& config, Index layer, std::uint64_t seed, Parameters<T>& weights)
{
    const std::vector<WeightShape> list = attention_weights(config, layer);
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (const auto* present = weights.find(list[i].name)) {
            (void)weights.at(present->name, list[i].shape);
            continue;
        }
        auto& entry = weights.add(list[i].name, list[i].shape);
        if (entry.shape.size() == 1) {
            continue;   // biases begin at zero
        }
        const bool out = entry.name.ends_with(".out.weight");
        const double root = std::sqrt(static_cast<double>(config.attention_width()));
        const double deviation = out ? 2.0 / (static_cast<double>(config.layers) * root)
                                     : std::sqrt(2.0 / (5.0 * static_cast<double>(config.width)));
        Random random(seed, static_cast<std::uint64_t>(layer) * 64 + i);
        for (T& value : entry.values) {
            value = static_cast<T>(deviation * random.normal());
        }
    }
}

template std::unique_ptr<Mixer<float>> make_attention_mixer(const NetworkConfig&, Index, const Parameters<float>&);
template std::unique_ptr<Mixer<double>> make_attention_mixer(const NetworkConfig&, Index, const Parameters<double>&);
template void initialize_attention(const NetworkConfig&, Index, std::uint64_t, Parameters<float>&);
template void initialize_attention(const NetworkConfig&, Index, std::uint64_t, Parameters<double>&);

}  // namespace stillhouse::models
